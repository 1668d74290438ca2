"""The messages of the Open Inference Protocol (KServe v2) that are sent and read. `kserve_pb2` is generated from `kserve.proto`."""

SERVICE = "/inference.GRPCInferenceService/"
"""What the path of every call begins with; the method follows."""
