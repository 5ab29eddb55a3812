"""Chat models behind one protocol: local, remote, echo."""
