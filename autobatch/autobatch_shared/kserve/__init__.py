"""The messages of the Open Inference Protocol (KServe v2) that are sent and read. `kserve_pb2` is generated from `kserve.proto`."""
