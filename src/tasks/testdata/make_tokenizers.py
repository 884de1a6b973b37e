"""Makes small tokenizers of every family and what the reference implementation makes of some texts.

    pip install tokenizers==0.22.2
    python make_tokenizers.py
"""

import json
from pathlib import Path

import tokenizers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

here = Path(__file__).parent

corpus = """
The picture is a warm and funny tale of two brothers who drive across the country in an old, unreliable car.
A tedious, overlong film with no surprises and a soundtrack that never stops shouting.
It works because the actors believe in it; the director trusts them, and so do we.
Unbelievably dull: nobody laughs, nobody cries, nothing happens for two hours.
The finest performance of her career, quietly moving and never sentimental.
Café owners, naïve painters and one very old dog make this small comedy worth seeing.
Its jokes are tired, its story is tired, and before long the audience is tired too.
""".strip().split("\n")

texts = [
    "The film is warm and funny.",
    "UNBELIEVABLY dull, naïve Café!",
    "  two   brothers\tand\nan old car ",
    "cf the audience never laughs bb",
    "unsurprisingly overlong, sentimentally shouting",
    "東京 is not in the story; 😀 neither",
    "don't stop-believing (1999)",
    "",
    "e\u0301tude na\u0308ive",
    "ﬁnest ½ İstanbul",
    "ξένος ☃☃ word",
    "a",
    "the [SEP] picture </s> works",
    "así aqu\u00ad\u00ed",
    "e\u0301tude, étude",
]


def train(tokenizer: Tokenizer, trainer: trainers.Trainer) -> Tokenizer:
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def bert() -> tuple[Tokenizer, dict]:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    train(tokenizer, trainers.WordPieceTrainer(vocab_size=220, special_tokens=special, show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer, {"tokenizer_class": "BertTokenizer", "pad_token": "[PAD]", "model_max_length": 512}


def roberta() -> tuple[Tokenizer, dict]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    train(
        tokenizer,
        trainers.BpeTrainer(vocab_size=340, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, {"tokenizer_class": "RobertaTokenizer", "pad_token": "<pad>", "model_max_length": 512}


def unigram() -> tuple[Tokenizer, dict]:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    train(
        tokenizer,
        trainers.UnigramTrainer(vocab_size=160, special_tokens=special, unk_token="<unk>", show_progress=False),
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="$A:0 </s>:0", pair="$A:0 </s>:0 $B:0 </s>:0", special_tokens=[("</s>", 2)])
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer, {"tokenizer_class": "T5Tokenizer", "pad_token": "<pad>", "padding_side": "left"}


def clip() -> tuple[Tokenizer, dict]:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    train(tokenizer, trainers.BpeTrainer(vocab_size=220, special_tokens=special, end_of_word_suffix="</w>", show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s>:0 $A:0 </s>:0", pair="<s>:0 $A:0 </s>:0 $B:0 </s>:0", special_tokens=[("<s>", 0), ("</s>", 2)])
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    return tokenizer, {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "truncation_side": "left"}


def llama() -> tuple[Tokenizer, dict]:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    special = ["<unk>", "<s>", "</s>"]
    train(tokenizer, trainers.BpeTrainer(vocab_size=220, special_tokens=special, show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s>:0 $A:0", pair="<s>:0 $A:0 $B:0", special_tokens=[("<s>", 1)])
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer, {"tokenizer_class": "LlamaTokenizer", "pad_token": "</s>", "legacy": False}


def trimmed(text: str, start: int, end: int) -> list[int] | None:
    """A place without outer spaces: some tokenizers count the space before a word in, some do not."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return [start, end] if start < end else None


families = []
for make in (bert, roberta, unigram, clip, llama):
    tokenizer, config = make()
    cases = []
    for text in texts:
        encoding = tokenizer.encode(text)
        spans = [
            None if special else trimmed(text, *offsets)
            for offsets, special in zip(encoding.offsets, encoding.special_tokens_mask)
        ]
        cases.append({"text": text, "ids": encoding.ids, "tokens": encoding.tokens, "spans": spans})
    families.append({"name": make.__name__, "json": json.loads(tokenizer.to_str()), "config": config, "cases": cases})

(here / "tokenizers.json").write_text(
    json.dumps({"tokenizers": tokenizers.__version__, "families": families}, separators=(",", ":")) + "\n"
)
