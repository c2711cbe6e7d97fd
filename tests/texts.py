"""Mild sentences of our own in 36 languages, and variations: what tokenizers are tried on."""

from __future__ import annotations

import random
from collections.abc import Iterator

SENTENCES: dict[str, tuple[str, str]] = {
    "en": ("What is the capital of France?", "I can't find my keys, they'll be somewhere."),
    "zh": ("法国的首都是哪里？", "今天天气很好，我们去公园散步吧。"),
    "ja": ("フランスの首都はどこですか？", "きょうはとても天気がいいですね。"),
    "ko": ("프랑스의 수도는 어디입니까?", "오늘 날씨가 참 좋네요."),
    "de": ("Was ist die Hauptstadt von Frankreich?", "Schöne Grüße aus dem Süden, Größe zählt."),
    "fr": ("Quelle est la capitale de l'Italie ?", "J'ai oublié mes clés à l'hôtel, ça va."),
    "es": ("¿Cuál es la capital de España?", "Mañana iré al mercado con mi niño."),
    "pt": ("Qual é a capital de Portugal?", "Amanhã não vou à praia, avó."),
    "it": ("Qual è la capitale d'Italia?", "Perché piove così tanto in città?"),
    "ru": ("Какая столица России?", "Сегодня хорошая погода, ёлки зелёные."),
    "uk": ("Яка столиця України?", "Їжак їсть яблуко в саду."),
    "pl": ("Jaka jest stolica Polski?", "Zażółć gęślą jaźń, proszę."),
    "cs": ("Jaké je hlavní město Česka?", "Příliš žluťoučký kůň pěl ódy."),
    "tr": ("Türkiye'nin başkenti neresidir?", "İstanbul'da ığdır çayı içtim."),
    "ar": ("ما هي عاصمة فرنسا؟", "الطَّقْسُ جَمِيلٌ اليَوْمَ."),
    "fa": ("پایتخت ایران کجاست؟", "می‌خواهم به بازار بروم."),
    "he": ("מהי בירת צרפת?", "הַיּוֹם יָפֶה מְאוֹד."),
    "ur": ("فرانس کا دارالحکومت کیا ہے؟", "آج موسم بہت اچھا ہے۔"),
    "hi": ("फ़्रांस की राजधानी क्या है?", "आज मौसम बहुत अच्छा है, ज़रूर चलेंगे।"),
    "bn": ("ফ্রান্সের রাজধানী কী?", "আজ আবহাওয়া খুব ভালো, বাড়ি যাব।"),
    "ta": ("பிரான்சின் தலைநகரம் எது?", "இன்று வானிலை நன்றாக உள்ளது."),
    "te": ("ఫ్రాన్స్ రాజధాని ఏది?", "ఈ రోజు వాతావరణం బాగుంది."),
    "th": ("เมืองหลวงของฝรั่งเศสคืออะไร", "วันนี้อากาศดีมาก"),
    "vi": ("Thủ đô của Pháp là gì?", "Hôm nay trời đẹp, chúng ta đi dạo nhé."),
    "id": ("Apa ibu kota Indonesia?", "Hari ini cuacanya sangat bagus."),
    "ms": ("Apakah ibu negara Malaysia?", "Saya suka makan nasi lemak."),
    "tl": ("Ano ang kabisera ng Pilipinas?", "Maganda ang panahon ngayon."),
    "sw": ("Mji mkuu wa Kenya ni upi?", "Leo hali ya hewa ni nzuri."),
    "nl": ("Wat is de hoofdstad van Nederland?", "Zij zei: 's ochtends één kopje."),
    "sv": ("Vad är Sveriges huvudstad?", "Åsa åt ärtsoppa på ön."),
    "fi": ("Mikä on Suomen pääkaupunki?", "Hyvää yötä, äiti."),
    "el": ("Ποια είναι η πρωτεύουσα της Ελλάδας;", "Καλημέρα, τι κάνεις;"),
    "hu": ("Mi Magyarország fővárosa?", "Árvíztűrő tükörfúrógép."),
    "ka": ("რა არის საქართველოს დედაქალაქი?", "დღეს კარგი ამინდია."),
    "am": ("የኢትዮጵያ ዋና ከተማ ማን ናት?", "ዛሬ አየሩ ጥሩ ነው።"),
    "km": ("រដ្ឋធានីនៃប្រទេសកម្ពុជាគឺអ្វី?", "ថ្ងៃនេះអាកាសធាតុល្អ។"),
}

_BETWEEN = (" ", "\n", "\n\n", "  ", "\t", " 😀 ", " 1234567 ", "...", " — ", "\r\n", " (", '", "')


def variations(count: int, seed: int = 0) -> Iterator[str]:
    """Texts made of the sentences: joined, cut, doubled, spaced out, in other cases."""
    chance = random.Random(seed)
    pool = [sentence for pair in SENTENCES.values() for sentence in pair]
    yield from pool
    for _ in range(count - len(pool)):
        parts = chance.sample(pool, chance.randint(1, 3))
        text = chance.choice(_BETWEEN).join(parts)
        if chance.random() < 0.3:
            start = chance.randrange(len(text))
            text = text[start : start + chance.randint(1, 60)]
        if chance.random() < 0.2:
            text = chance.choice(
                (text.upper(), text.lower(), text[::-1], text + "   ", "\n" + text)
            )
        if chance.random() < 0.1:
            place = chance.randrange(len(text) + 1)
            text = (
                text[:place] + chr(chance.choice((0x301, 0x200D, 0xFE0F, 0x202E, 0))) + text[place:]
            )
        yield text
