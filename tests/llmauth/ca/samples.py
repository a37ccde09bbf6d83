"""The domains that the tests' authority may sign, and a leaf as the file that a server is given."""

from cryptography.hazmat.primitives.serialization import Encoding

from llmauth.ca import Leaf
from llmauth.ca.certificates import key_pem

DOMAINS = ("api.openai.com", "amazonaws.com", "llm.internal")
DAY = 86_400


def pem(leaf: Leaf) -> bytes:
    shown = b"".join(one.public_bytes(Encoding.PEM) for one in (leaf.certificate, *leaf.chain))
    return key_pem(leaf.private_key) + shown
