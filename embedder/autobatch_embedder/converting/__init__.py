"""`autobatch embedder convert`: a model's folder as an ONNX graph and as Triton's model repository, without PyTorch."""
