"""How the embedded model is made, from nothing: `make embedded-model`.

Not part of the installed package, and imported by nothing that runs. In the order of the work:
`palette`, `brush`, `shapes`, `icons`, `landscapes`, `wording` and `scenes` draw pictures and say
what is in them; `vocabulary` learns the tokenizer; `autoencoder` and `reconstruction` make the
latents; `network` and `growth` hold the denoiser; `shards` encodes scenes once; `diffusion`,
`muon`, `checkpoints` and `training` train it; `lora` restyles it; `assembling` writes the folder;
`looks`, `classifier` and `evaluation` measure what came out; `grids` shows what settings change.
"""
