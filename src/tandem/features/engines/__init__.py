"""What computes a backbone: torch, OpenVINO or a CUDA graph, each held against torch in float32."""
