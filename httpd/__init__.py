"""The HTTP layer: jobs, progress and pictures of one spool over HTTP. Never imports torch.

`httpd.application` assembles it; `httpd.table` names every route.
"""
