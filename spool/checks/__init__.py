"""What `genzo doctor` looks at: one function a question, which yields findings."""
