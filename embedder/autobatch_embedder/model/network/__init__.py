"""From weights to an ONNX graph, and from token ids to its inputs."""
