"""Values of the neutral chat that know something of themselves."""

from llmauth.chat.messages import Data, Usage
from llmauth.chat.words import FEATURES, PARAMETERS, Word
from tests.golden.cases import asked, user


def test_no_token_is_counted_twice():
    usage = Usage(input=10, cache_read=200, cache_write=50, output=5, reasoning=3)
    assert (usage.prompt, usage.total) == (260, 265)


def test_a_word_in_the_clients_own_spelling():
    request = asked(user("a"), spelling={Word.MAX_TOKENS: "max_completion_tokens"})
    assert (request.named(Word.MAX_TOKENS), request.named(Word.SEED)) == ("max_completion_tokens", "seed")


def test_content_is_not_shown_by_accident():
    assert "QQ==" not in repr(Data("image/png", "QQ=="))


def test_every_word_is_a_parameter_or_a_feature():
    assert (*PARAMETERS, *FEATURES) == tuple(Word)
    assert Word.TRUNCATION in PARAMETERS
    assert Word.SYSTEM in FEATURES
    assert len({word.value for word in Word}) == len(Word)
