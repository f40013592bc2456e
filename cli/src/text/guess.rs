//! Guesses the encoding of a text in memory from its bytes alone.

use crate::text::plausible;
use crate::text::{self, Encoding};
use encoding_rs::{Encoding as CodePage, UTF_8, WINDOWS_1252};
use std::borrow::Cow;

/// The number of bytes that are compared. The first part of a text shows the encoding as well as
/// the whole text does.
const COMPARED: usize = 512;

/// The bits that are added to the reading of a text that has no NUL, which is less plausible.
const NO_END: u32 = 8;

/// The bits that are added to the reading as an empty text if bytes other than zero follow its NUL,
/// which is less plausible.
const EMPTY: u32 = 8;

/// Returns the likeliest encoding of the text at the start of `bytes`, and the reason. `page` is
/// the ANSI code page.
///
/// UTF-8 or ANSI text ends at the first zero byte (`narrow`). UTF-16 text ends at the first zero
/// unit (`wide`). Both readings must explain the same bytes:
///
/// ```text
/// bytes    M 0 e 0 s 0 s 0 a 0 g 0 e 0 0 0
/// narrow   M | remains                         the text "M", and bytes that mean nothing
/// wide     M   e   s   s   a   g   e   |       the text "Message"
/// ```
///
/// The reading that needs fewer [bits](plausible::bits) is the likelier reading. The narrow
/// text is read as UTF-8 if its bytes are valid UTF-8: hardly any ANSI text is valid UTF-8.
pub fn guess(bytes: &[u8], page: &'static CodePage) -> (Encoding, &'static str) {
    let narrow_end = text::end(bytes, Encoding::Utf8);
    let wide_end = text::end(bytes, Encoding::Utf16);
    let narrow = &bytes[..narrow_end.unwrap_or(bytes.len())];
    let wide = &bytes[..wide_end.unwrap_or(bytes.len() & !1)];
    let is_utf8 = is_utf8(narrow, narrow_end.is_some());

    // Bytes far behind the narrow text do not outweigh the text.
    let compared = wide.len().min(2 * narrow.len() + 16).min(COMPARED);
    let read = decoded(&narrow[..narrow.len().min(COMPARED)], is_utf8, page);
    let remains = wide[..compared].iter().skip(narrow.len() + 1);
    let mut narrow_bits = plausible::bits(read.chars());
    narrow_bits += remains
        .map(|byte| plausible::bits_of_remains(*byte))
        .sum::<u32>();
    if narrow_end.is_none() {
        narrow_bits += NO_END;
    }
    if narrow.is_empty() && !wide.is_empty() {
        narrow_bits += EMPTY;
    }
    let mut wide_bits = plausible::bits(text::decode(&wide[..compared], Encoding::Utf16).chars());
    // The last byte of a section of an odd size is in no unit.
    let remains = narrow.iter().take(COMPARED).skip(compared);
    wide_bits += remains
        .map(|byte| plausible::bits_of_remains(*byte))
        .sum::<u32>();
    if wide_end.is_none() {
        wide_bits += NO_END;
    }

    let is_wide = wide_bits < narrow_bits;
    match (is_wide, is_utf8) {
        (true, _) if narrow.len() <= 1 => {
            (Encoding::Utf16, "the first character contains a zero byte")
        }
        (true, true) => (
            Encoding::Utf16,
            "the text is more plausible in UTF-16 than in UTF-8",
        ),
        (true, false) => (
            Encoding::Utf16,
            "the bytes are not valid UTF-8, and the text is more plausible in UTF-16 than in the ANSI code page",
        ),
        (false, true) if narrow.is_ascii() => (
            Encoding::Utf8,
            "the bytes up to the first zero are plain ASCII",
        ),
        (false, true) => (
            Encoding::Utf8,
            "the bytes up to the first zero are valid UTF-8",
        ),
        (false, false) => (
            Encoding::Ansi,
            "the bytes are not valid UTF-8, and the text is more plausible in the ANSI code page than in UTF-16",
        ),
    }
}

/// Returns whether bytes are UTF-8. A text without its end may stop within a character.
fn is_utf8(bytes: &[u8], has_end: bool) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => !has_end && error.error_len().is_none() && error.valid_up_to() > 0,
    }
}

/// Decodes the text in `bytes`. Bytes of the last character may be missing.
fn decoded<'a>(bytes: &'a [u8], is_utf8: bool, page: &'static CodePage) -> Cow<'a, str> {
    if !is_utf8 {
        // If the ANSI code page of this system is UTF-8, the code page of the other program is not
        // known.
        let page = if page == UTF_8 { WINDOWS_1252 } else { page };
        return page.decode_without_bom_handling(bytes).0;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(error) => String::from_utf8_lossy(&bytes[..error.valid_up_to()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::{
        BIG5, EUC_KR, GBK, SHIFT_JIS, WINDOWS_1250, WINDOWS_1251, WINDOWS_1253, WINDOWS_1254,
        WINDOWS_1255, WINDOWS_1256, WINDOWS_1257,
    };

    const SINGLE_BYTE: [&CodePage; 8] = [
        WINDOWS_1252,
        WINDOWS_1250,
        WINDOWS_1251,
        WINDOWS_1253,
        WINDOWS_1254,
        WINDOWS_1255,
        WINDOWS_1256,
        WINDOWS_1257,
    ];

    const DOUBLE_BYTE: [&CodePage; 4] = [SHIFT_JIS, GBK, EUC_KR, BIG5];

    /// Everyday texts of programs in Western Europe, with a letter or sign beyond ASCII.
    const WESTERN: [&str; 34] = [
        "CPU 45°C",
        "45 °C",
        "45°C",
        "21,5 °C / 70 °F",
        "Straße 17, München",
        "Señor",
        "£100",
        "Müller GmbH & Co. KG",
        "naïve café",
        "Größe",
        "Größe 21.5",
        "25€",
        "Käse",
        "Ä",
        "É",
        "é",
        "à",
        "© 2024 ACME",
        "±5 µm",
        "§ 12 Abs. 3",
        "¿Qué hora es?",
        "¡Olé!",
        "Año 2026",
        "São Paulo",
        "não",
        "Coração",
        "où",
        "été",
        "Ça va",
        "på",
        "Ålesund",
        "Øystein Bjørnsen",
        "C:\\Programme\\Überwachung\\log.txt",
        "Fehler: Gerät nicht gefunden (Zugriff verweigert), bitte später erneut versuchen.",
    ];

    /// Texts of all scripts, short and long.
    const TEXTS: [&str; 52] = [
        "Message from first process.",
        "OK",
        "x=1;y=2;z=3",
        "EUR 1.08",
        "{\"id\":17,\"price\":101.5}",
        "Grüße aus München",
        "Der schnelle braune Fuchs springt über den faulen Hund.",
        "Le cœur déçu mais l'âme plutôt naïve",
        "L’été à Genève — 25 °C",
        "El pingüino comió jamón en España",
        "À noite, vovô Kowalsky vê o ímã cair no pé do pinguim",
        "Zażółć gęślą jaźń",
        "Łódź",
        "Temperatura wynosi 21 stopni, błąd czujnika",
        "Příliš žluťoučký kůň úpěl ďábelské ódy",
        "Čas",
        "Şişli'de güneşli bir gün",
        "İstanbul, ığüşöç",
        "Привет, мир",
        "Да",
        "Температура 21,5 °C",
        "Съешь ещё этих мягких французских булок, да выпей чаю",
        "Ελληνικά",
        "Θερμοκρασία: 21 °C",
        "Καλημέρα κόσμε",
        "日本語のテキスト",
        "こんにちは世界",
        "温度は二十一度です。",
        "エラーが発生しました",
        "接続を確認してください",
        "你好世界",
        "温度过高",
        "连接服务器失败，请重试",
        "中文測試",
        "中華民國的天氣今天很好",
        "안녕하세요",
        "온도가 너무 높습니다",
        "한국어 텍스트",
        "שלום עולם",
        "טמפרטורה 21",
        "مرحبا بالعالم",
        "درجة الحرارة",
        "Xin chào thế giới",
        "Tiếng Việt rất đẹp",
        "สวัสดีชาวโลก",
        "नमस्ते दुनिया",
        "🦀🦀",
        "👍",
        "fertig 👍",
        "Preis: 3 €, „sofort“",
        "beep \x07, é, 🦀 and \u{9b}",
        "\x1b[31mred\x1b[0m",
    ];

    /// Returns the content of a section of at least 256 bytes that begins with this text and is
    /// zero behind the text.
    fn section(mut text: Vec<u8>) -> Vec<u8> {
        let len = (text.len() + 2).max(256);
        text.resize(len, 0);
        text
    }

    #[track_caller]
    fn is_guessed(text: &str, bytes: Vec<u8>, page: &'static CodePage, want: Encoding) {
        let (guessed, why) = guess(&section(bytes), page);
        assert_eq!(guessed, want, "{text} in {}: {why}", page.name());
    }

    /// Returns the bytes of a text in a code page; `None` if the code page lacks a character.
    fn in_page(text: &str, page: &'static CodePage) -> Option<Vec<u8>> {
        let (bytes, _, is_lossy) = page.encode(text);
        (!is_lossy).then(|| bytes.into_owned())
    }

    #[test]
    fn encoding_is_guessed_for_all_scripts() {
        let mut in_ansi = 0;
        for text in TEXTS.iter().chain(&WESTERN).copied() {
            // A lone Latin-1 letter in UTF-16 has the same bytes as in code page 1252.
            let wide = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            if text.chars().count() > 1 {
                is_guessed(text, wide, WINDOWS_1252, Encoding::Utf16);
            }
            for page in SINGLE_BYTE.into_iter().chain(DOUBLE_BYTE) {
                is_guessed(text, text.into(), page, Encoding::Utf8);
                let Some(bytes) = in_page(text, page) else {
                    continue;
                };
                if !text.is_ascii() {
                    in_ansi += 1;
                    is_guessed(text, bytes.clone(), page, Encoding::Ansi);
                    // The reader's code page may be 1252, as on Linux. Arabic text is left out: its
                    // bytes in code page 1256 are also Korean syllables in UTF-16.
                    if page != WINDOWS_1256 && SINGLE_BYTE.contains(&page) {
                        is_guessed(text, bytes, WINDOWS_1252, Encoding::Ansi);
                    }
                }
            }
        }
        assert!(in_ansi > 150, "only {in_ansi} texts fit into a code page");
    }

    #[test]
    fn everyday_western_texts_are_read_as_ansi() {
        for text in WESTERN {
            let bytes = in_page(text, WINDOWS_1252).expect(text);
            is_guessed(text, bytes.clone(), WINDOWS_1252, Encoding::Ansi);
            // The system of the reader may have another code page than the writer's.
            let foreign = [WINDOWS_1250, WINDOWS_1254, UTF_8];
            for page in foreign.into_iter().filter(|_| bytes.len() > 1) {
                is_guessed(text, bytes.clone(), page, Encoding::Ansi);
            }
        }
    }

    #[test]
    fn joined_western_texts_are_read_as_ansi() {
        for (first, second) in WESTERN.iter().flat_map(|a| WESTERN.map(|b| (a, b))) {
            for between in [" ", ": ", "\r\n", "="] {
                let text = format!("{first}{between}{second}");
                let bytes = in_page(&text, WINDOWS_1252).expect(&text);
                is_guessed(&text, bytes, WINDOWS_1252, Encoding::Ansi);
            }
        }
    }

    #[test]
    fn unambiguous_single_characters_are_guessed() {
        for (c, want) in [
            ("A", Encoding::Utf8),
            ("é", Encoding::Utf8),
            ("я", Encoding::Utf8),
            ("日", Encoding::Utf8),
            ("🦀", Encoding::Utf8),
        ] {
            is_guessed(c, c.into(), WINDOWS_1252, want);
        }
        for c in ["Ā", "一", "я", "日本", "한", "🦀", "א", "ع"] {
            let wide = c.encode_utf16().flat_map(u16::to_le_bytes).collect();
            is_guessed(c, wide, WINDOWS_1252, Encoding::Utf16);
        }
    }

    #[test]
    fn encoding_is_guessed_before_leftover_bytes() {
        for (bytes, want) in [
            (&b"Hi\0lo world, this was longer\0"[..], Encoding::Utf8),
            (b"caf\xe9\0 au lait\0", Encoding::Ansi),
            (b"\0essage from first process\0", Encoding::Utf8),
            (b"H\0i\0\0\0l\0o\0 \0w\0o\0r\0l\0d\0\0\0", Encoding::Utf16),
            (
                b"Status: OK\0\x01\x02\x1f\x00\x20\x00\x21\x00\x22\x00\x23\x00",
                Encoding::Utf8,
            ),
        ] {
            is_guessed("remains", bytes.into(), WINDOWS_1252, want);
        }
    }

    #[test]
    fn encoding_is_guessed_without_terminating_nul() {
        let cyrillic = "Съешь ещё этих мягких французских булок. ".repeat(100);
        let cut = &cyrillic.as_bytes()[..4095];
        assert!(std::str::from_utf8(cut).is_err());
        assert_eq!(guess(cut, WINDOWS_1252).0, Encoding::Utf8);
        let wide: Vec<u8> = "連接服務器失敗"
            .repeat(9)
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(guess(&wide, WINDOWS_1252).0, Encoding::Utf16);
    }

    #[test]
    fn short_ambiguous_text_decodes_without_garbage() {
        for bytes in [&b"A\0\0\0"[..], b"A\0", b"A", b"\0\0\0\0", b"", b"\0"] {
            let (encoding, _) = guess(bytes, WINDOWS_1252);
            let end = text::end(bytes, encoding).unwrap_or(bytes.len());
            let text = text::decode(&bytes[..end], encoding);
            assert!(text == "A" || text.is_empty());
        }
    }
}
