"""What the rules of semgrep.yaml must find: each line that is meant has the rule's name behind it. Never imported."""

# ruff: noqa

import logging
import os
import pickle
import ssl

import mitmproxy  # rule: mitmproxy-outside-of-addons
from mitmproxy import http  # rule: mitmproxy-outside-of-addons

logger = logging.getLogger(__name__)


def told(secret, client, error):
    logger.info("the key is %s", secret.reveal())  # rule: secret-is-told
    logger.warning("the key", extra={"key": secret.reveal()})  # rule: secret-is-told
    raise error(f"the key {secret.reveal()} is wrong")  # rule: secret-is-told


def compared(secret, other):
    return secret.reveal() == other  # rule: secret-is-compared-in-variable-time


def believed(client, context):
    client.get("https://provider", verify=False)  # rule: certificate-is-not-verified
    context.verify_mode = ssl.CERT_NONE  # rule: certificate-is-not-verified


def formatted(user):
    logger.info(f"{user} was let in")  # rule: message-is-made-before-it-is-logged


def run(text):
    os.system(text)  # rule: text-is-run
    return pickle.loads(text), http, mitmproxy  # rule: text-is-run
