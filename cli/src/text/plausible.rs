//! Measures how plausible a text is: the number of bits that a simple model of texts needs to
//! encode the text.
//!
//! The model has three rules. A text stays in one script. Within a script, few characters are
//! frequent. Control characters and unassigned characters are rare. A text that is read in the
//! wrong encoding breaks all three rules: ANSI text that is read as UTF-16 scatters over the blocks
//! of Chinese, Yi, Korean and private characters.
//!
//! The numbers are rounded information contents. An example is Chinese: 500 frequent characters
//! make up three quarters of a Chinese text (9 bits each), and 20,000 other characters make up the
//! rest (15 bits each).

/// Returns the bits of a whole text. Fewer bits mean a more plausible text.
pub fn bits(text: impl Iterator<Item = char>) -> u32 {
    let mut all = 0;
    let mut script = Script::Common;
    let mut last = '\n';
    for c in text {
        let (own, bits) = of(c);
        all += bits + of_pair(last, c);
        if own != Script::Common && own != script {
            all += of_change(script, own);
            script = own;
        }
        last = c;
    }
    all
}

/// Returns the bits of a byte that follows the text and does not belong to the text.
pub fn bits_of_remains(byte: u8) -> u32 {
    match byte {
        0 => 6,
        byte => of(byte.into()).1.min(8),
    }
}

/// A group of characters that occur together in one text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    /// Blanks, digits, punctuation and symbols, which occur together with every script.
    Common,
    Latin,
    /// An alphabet other than Latin, with the number of its block.
    Alphabet(u8),
    /// Chinese characters and Kana.
    Han,
    Hangul,
    Emoji,
    /// Any other character, with the upper bytes of its code.
    Rare(u16),
}

/// Returns the bits of a change from one script to another. The first script of a text is likely
/// Latin.
fn of_change(from: Script, to: Script) -> u32 {
    match (from, to) {
        (Script::Common, Script::Latin) => 1,
        (Script::Common, _) => 4,
        (_, Script::Emoji) | (Script::Emoji, _) => 4,
        _ => 6,
    }
}

/// Returns the bits that are added if the character `c` is rare behind the character `last`.
fn of_pair(last: char, c: char) -> u32 {
    let is_mark = |c: char| matches!(c, ',' | ';' | '!' | '?' | ')' | ']' | '}');
    match (last, c) {
        (last, c) if last.is_lowercase() && c.is_uppercase() => 3,
        (last, c) if last.is_ascii_digit() && c.is_lowercase() => 1,
        (last, c) if last.is_alphabetic() && c.is_ascii_digit() => 1,
        (last, c) if is_mark(last) && c.is_alphanumeric() => 3,
        ('\n', ' ' | '\n' | '\t') => 4,
        _ => 0,
    }
}

/// Returns the script of a character, and the bits of the character within its script.
fn of(c: char) -> (Script, u32) {
    match c {
        '\0'..='\u{7f}' => of_ascii(c),
        'ä' | 'ö' | 'ü' | 'ß' | 'é' | 'è' | 'à' | 'ç' | 'ê' | 'á' | 'í' | 'ó' | 'ú' | 'ñ' | 'ã'
        | 'ı' | 'ş' | 'ğ' | 'ł' | 'ą' | 'ę' | 'č' | 'š' | 'ž' | 'ř' | 'ě' | 'ý' | 'đ' | 'ư'
        | 'ơ' => (Script::Latin, 8),
        '°' | '£' | '€' | '§' | '«' | '»' | '·' | '±' | '²' | '³' | 'µ' | '½' | '©' | '®' | '´'
        | '¿' | '¡' => (Script::Common, 9),
        '\u{80}'..='\u{9f}' => (Script::Common, 18),
        '\u{a0}'..='\u{bf}' | '×' | '÷' => (Script::Common, 10),
        '\u{c0}'..='\u{17f}' | '\u{1a0}'..='\u{1b0}' => (Script::Latin, 9),
        '\u{1ea0}'..='\u{1ef9}' => (Script::Latin, 8),
        '\u{2c6}'..='\u{2dd}' => (Script::Common, 11),
        '\u{300}'..='\u{36f}' => (Script::Common, 10),
        '\u{370}'..='\u{3ff}' => (Script::Alphabet(0), 6),
        '\u{400}'..='\u{45f}' => (Script::Alphabet(1), 6),
        '\u{591}'..='\u{5f4}' => (Script::Alphabet(2), 6),
        '\u{600}'..='\u{6ff}' => (Script::Alphabet(3), 6),
        '\u{900}'..='\u{97f}' => (Script::Alphabet(4), 7),
        '\u{e01}'..='\u{e5b}' => (Script::Alphabet(5), 7),
        '\u{200b}'..='\u{200f}' | '\u{fe0f}' => (Script::Common, 8),
        '\u{2010}'..='\u{2030}' | '\u{2039}' | '\u{203a}' => (Script::Common, 9),
        '\u{20a0}'..='\u{20c0}' | '\u{2100}'..='\u{214f}' => (Script::Common, 12),
        '\u{2190}'..='\u{22ff}' | '\u{2500}'..='\u{27bf}' => (Script::Common, 12),
        '、' | '。' | '，' | '！' | '？' | '：' | '・' | '「' | '」' | 'ー' => {
            (Script::Han, 6)
        }
        '\u{3000}'..='\u{303f}' | '\u{ff01}'..='\u{ff5e}' => (Script::Han, 9),
        '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fc}' => (Script::Han, 7),
        '\u{4e00}'..='\u{9fff}' if is_frequent(c, FREQUENT_HAN) => (Script::Han, 9),
        '\u{4e00}'..='\u{9fff}' => (Script::Han, 15),
        '\u{ac00}'..='\u{d7a3}' if is_frequent(c, FREQUENT_HANGUL) => (Script::Hangul, 8),
        '\u{ac00}'..='\u{d7a3}' => (Script::Hangul, 14),
        '\u{feff}' => (Script::Common, 3),
        '\u{ff61}'..='\u{ff9f}' => (Script::Han, 10),
        '\u{1f300}'..='\u{1faff}' | '\u{1f1e6}'..='\u{1f1ff}' => (Script::Emoji, 11),
        '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}' | '\u{e0000}'.. => {
            (Script::Rare(0xff), 20)
        }
        c => (Script::Rare((u32::from(c) >> 8) as u16), 18),
    }
}

fn of_ascii(c: char) -> (Script, u32) {
    match c {
        'a'..='z' => (Script::Latin, 4),
        'A'..='Z' => (Script::Latin, 6),
        ' ' => (Script::Common, 3),
        '0'..='9' => (Script::Common, 5),
        '.' | ',' | '-' | ':' | '/' | '\'' | '"' | '(' | ')' | '=' | '_' | '%' => {
            (Script::Common, 6)
        }
        '\t' | '\n' | '\r' => (Script::Common, 7),
        c if c.is_ascii_punctuation() => (Script::Common, 8),
        _ => (Script::Common, 15),
    }
}

fn is_frequent(c: char, list: &str) -> bool {
    list.contains(c)
}

/// Frequent characters of simplified and traditional Chinese, and of Japanese.
const FREQUENT_HAN: &str = "\
的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过\
发后作里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本\
前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很\
最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世位次度\
门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电\
数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马\
科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北边死张该交规万\
取拉格望觉术领共确传师观清今切院让识候带导争运笔温网络线状态错误启停服器测试消息连服系统成功\
失败请输入文件名称价格数据京湾港店谢再圳警告停备离险\
說時來為國個們這會發後對過經麼學現當沒動還進樣從實軍無長機關點業開將兩間問應戰頭體見產話給\
東聲員處義認條氣題電數報務場計資統區隊決馬書聽達強難權設記類據邊張該規萬覺術領確傳師觀帶導爭\
運線狀態錯誤啟價溫網測試連請輸稱灣謝備離險\
語気実発会社読書車円駅店番私今朝昼夜食飲見聞話買売休校友父母兄弟姉妹春夏秋冬東京都府県市町村\
時間分前後午毎週曜火木土雨雪花犬猫魚鳥赤青黒白何誰字漢英説明確認開始終了完成送受信接続設定変更田太郎佐藤\
";

/// Frequent syllables of Korean.
const FREQUENT_HANGUL: &str = "\
이다는을가의에고하지기로사도를한리서은어나아자대시정일인스있해그수부상전원보과라제제구조주동성\
여만장공소적와유미니들안마위비관경무오세회국우교신선말계방식화년되연진물용거중실야게모러내으분\
할며것면단간양문업생호체강음결학요민반재차술같통권요영작산발려당금행없저았었습니까녕하세요합감\
설트터치태입력출류온된료메";
