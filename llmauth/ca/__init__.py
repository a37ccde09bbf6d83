"""The certificate authority of intercepted tunnels: made once, limited to names that it may sign."""

from llmauth.ca.authority import Authority
from llmauth.ca.errors import CaError
from llmauth.ca.files import CERTIFICATE_FILE, KEY_FILE
from llmauth.ca.leaves import Leaf

__all__ = ["CERTIFICATE_FILE", "KEY_FILE", "Authority", "CaError", "Leaf"]
