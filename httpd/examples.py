"""The request bodies of the API guide, by the guide's headings."""

from __future__ import annotations

from typing import Any

REQUESTS: dict[str, dict[str, Any]] = {
    "SDXL / Illustrious": {
        "prompt": "masterpiece, best quality, 1girl, solo, long blonde hair, blue eyes, "
        "white dress, flower garden, soft lighting",
        "negative_prompt": "worst quality, low quality, blurry, bad anatomy, bad hands, watermark",
        "width": 1024,
        "height": 1024,
        "seed": 42,
        "loras": [],
    },
    "LoRA": {
        "prompt": "masterpiece, best quality, 1girl, portrait, looking at viewer",
        "negative_prompt": "worst quality, low quality",
        "loras": [{"id": "civitai_1963644", "weight": 0.8, "trigger_weight": 0.5}],
    },
    "Chroma": {
        "prompt": "a fluffy orange cat sleeping on a sunny windowsill, soft natural light",
        "width": 1024,
        "height": 1024,
    },
    "Flux Dev / Schnell": {
        "prompt": "A photorealistic landscape of snow-capped mountains",
        "width": 1024,
        "height": 1024,
    },
    "Z-Image Turbo": {
        "prompt": "A vintage coffee shop interior with warm lighting",
        "width": 1024,
        "height": 1024,
    },
}

PROGRESS: dict[str, Any] = {
    "status": "processing",
    "step": 5,
    "total_steps": 20,
    "preview": "data:image/jpeg;base64,...",
}
