//! Who plays in the demo: three workspaces, their 40 people, the jobs that `system` runs, and the names that invented
//! contacts are put together from. Everyone is made up: addresses are of example domains (RFC 2606), IPs of
//! documentation ranges (RFC 5737, RFC 3849), phone numbers of ranges that no one is given (US 555-01xx, the drama range
//! of Berlin, +91 10000…).

/// A customer's workspace.
pub struct Tenant {
    /// As it stands in events.
    pub name: &'static str,
    /// Mail domain of its people.
    pub domain: &'static str,
    /// Local time minus UTC, minutes. One offset all year: the demo has no daylight saving.
    pub utc_offset_minutes: i64,
    /// How much of the work happens here, beside the others.
    pub size: u64,
    /// Currency of its wallet.
    pub currency: &'static str,
    /// Phone numbers of its contacts and DIDs: this, then digits.
    pub phone: PhoneRange,
    /// Which of `SCRIPTS` its contacts' names come from, by weight.
    pub scripts: &'static [usize],
}

/// A range of phone numbers that belongs to no one.
pub struct PhoneRange {
    pub prefix: &'static str,
    /// Digits after the prefix.
    pub digits: usize,
    /// ISO 3166 code of the country.
    pub country: &'static str,
}

pub const TENANTS: [Tenant; 3] = [
    Tenant {
        name: "velo-in",
        domain: "velo-in.example.com",
        utc_offset_minutes: 330,
        size: 5,
        currency: "INR",
        phone: PhoneRange { prefix: "+9110000", digits: 5, country: "IN" },
        scripts: &[DEVANAGARI, DEVANAGARI, LATIN, LATIN, ARABIC],
    },
    Tenant {
        name: "velo-us",
        domain: "velo-us.example.org",
        utc_offset_minutes: -300,
        size: 4,
        currency: "USD",
        phone: PhoneRange { prefix: "+141555501", digits: 2, country: "US" },
        scripts: &[LATIN, LATIN, LATIN, HAN_KANA],
    },
    Tenant {
        name: "velo-de",
        domain: "velo-de.example.net",
        utc_offset_minutes: 60,
        size: 3,
        currency: "EUR",
        phone: PhoneRange { prefix: "+493023125", digits: 3, country: "DE" },
        scripts: &[LATIN, LATIN, CYRILLIC, ARABIC],
    },
];

const LATIN: usize = 0;
const DEVANAGARI: usize = 1;
const ARABIC: usize = 2;
const HAN_KANA: usize = 3;
const CYRILLIC: usize = 4;

/// Names and remarks in one script.
pub struct Script {
    pub first: &'static [&'static str],
    pub last: &'static [&'static str],
    /// The family name comes first, without a space.
    pub is_family_first: bool,
    /// What someone might note about a contact or a conversation.
    pub notes: &'static [&'static str],
}

pub const SCRIPTS: [Script; 5] = [
    Script {
        first: &[
            "Ana", "Björn", "Chloé", "Dário", "Elif", "Fiona", "Gökhan", "Hanna", "Ilse", "João", "Karin", "Łukasz",
            "Mira", "Noé", "Olga", "Pál", "Rosa", "Søren", "Theo", "Zoë",
        ],
        last: &[
            "Abreu",
            "Bergström",
            "Calvo",
            "Dubois",
            "Eriksen",
            "Fuchs",
            "García",
            "Hölzl",
            "Iversen",
            "Jung",
            "Kowalski",
            "Lindqvist",
            "Müller",
            "Núñez",
            "O'Neill",
            "Petit",
            "Rossi",
            "Strauß",
            "Tóth",
            "Yılmaz",
        ],
        is_family_first: false,
        notes: &[
            "Prefers a call after lunch",
            "Asked for the price list again",
            "Met at the café on the corner",
            "Wrong number, please check",
            "Wants an invoice in her company's name",
            "Duplicate of an older contact",
            "Renewal due at the end of the quarter",
            "Straße und Hausnummer fehlen",
            "Ne souhaite plus être appelé le soir",
            "Ya recibió la oferta, espera respuesta",
        ],
    },
    Script {
        first: &["अनन्या", "अर्जुन", "ईशा", "कबीर", "गीता", "दीपक", "नेहा", "प्रिया", "मोहन", "रोहन", "लक्ष्मी", "सुनीता"],
        last: &["शर्मा", "पटेल", "गुप्ता", "जोशी", "देशमुख", "कुलकर्णी", "यादव", "मिश्रा", "चौधरी", "नायर"],
        is_family_first: false,
        notes: &[
            "शाम को फिर से फ़ोन करें",
            "नई दर सूची भेजी गई",
            "पता बदल गया है",
            "भुगतान की रसीद माँगी",
            "हिन्दी में बात करना पसंद है",
        ],
    },
    Script {
        first: &["أمينة", "باسل", "جميلة", "حسن", "خالد", "ريم", "سلمى", "طارق", "ليلى", "نور", "هدى", "يوسف"],
        last: &["الحداد", "النجار", "الخطيب", "المصري", "العلي", "بركات", "درويش", "سليمان", "صالح", "منصور"],
        is_family_first: false,
        notes: &[
            "يفضل الاتصال صباحا",
            "طلب نسخة من الفاتورة",
            "تم تغيير رقم الهاتف",
            "ينتظر عرض السعر الجديد",
            "لا يرغب في الرسائل بعد الآن",
        ],
    },
    Script {
        first: &["さくら", "陽斗", "美咲", "健太", "ひなた", "小明", "芳", "伟", "静怡", "浩然", "アンナ", "結衣"],
        last: &["佐藤", "鈴木", "高橋", "田中", "渡辺", "王", "李", "张", "陈", "刘"],
        is_family_first: true,
        notes: &[
            "午後に電話してください",
            "請求書を再送しました",
            "住所が変わりました",
            "客户希望下周回电",
            "已发送新的报价单",
        ],
    },
    Script {
        first: &[
            "Анна",
            "Борис",
            "Вера",
            "Дмитрий",
            "Екатерина",
            "Иван",
            "Людмила",
            "Мария",
            "Олег",
            "Софія",
            "Тарас",
            "Юлия",
        ],
        last: &["Волк", "Гончар", "Ефимов", "Журавель", "Коваленко", "Лебедь", "Мельник", "Орлов", "Соколов", "Шевчук"],
        is_family_first: false,
        notes: &[
            "Перезвонить после обеда",
            "Просит счёт на компанию",
            "Изменился адрес доставки",
            "Номер введён с ошибкой",
            "Чекає на нову пропозицію",
        ],
    },
];

/// One of the 40 people who use VeloConnect in the demo.
pub struct Person {
    pub name: &'static str,
    /// The part of the mail address before the `@`.
    pub mail: &'static str,
    /// The role at the demo's beginning.
    pub role: &'static str,
}

const fn person(name: &'static str, mail: &'static str, role: &'static str) -> Person {
    Person { name, mail, role }
}

/// The people: number i works for tenant `i % 3`, so each workspace has its share of every role. Their id is `u_` and 101 + i.
pub const PEOPLE: [Person; 40] = [
    person("Kavya Rao", "kavya", "admin"),
    person("Maya Lindqvist", "maya", "admin"),
    person("Jonas Hölzl", "jonas", "admin"),
    person("अर्जुन शर्मा", "arjun", "manager"),
    person("Sam Whitlock", "sam", "manager"),
    person("Катерина Мельник", "kateryna", "manager"),
    person("प्रिया देशमुख", "priya", "agent"),
    person("Tomás Rivero", "tomas", "agent"),
    person("Elif Yıldız", "elif", "agent"),
    person("Imran Shaikh", "imran", "agent"),
    person("佐藤 美咲", "misaki", "agent"),
    person("ليلى الحداد", "layla", "agent"),
    person("Neha Kulkarni", "neha", "agent"),
    person("Grace Okonjo", "grace", "agent"),
    person("Søren Iversen", "soren", "agent"),
    person("रोहन गुप्ता", "rohan", "agent"),
    person("李 静怡", "jingyi", "agent"),
    person("Борис Орлов", "boris", "agent"),
    person("Farah Ansari", "farah", "agent"),
    person("Diego Núñez", "diego", "agent"),
    person("Anke Strauß", "anke", "agent"),
    person("सुनीता जोशी", "sunita", "agent"),
    person("Leah Stone", "leah", "agent"),
    person("Zoë Dubois", "zoe", "agent"),
    person("Vikram Iyer", "vikram", "agent"),
    person("Noah Brandt", "noah", "agent"),
    person("طارق منصور", "tariq", "agent"),
    person("Ishaan Mehra", "ishaan", "agent"),
    person("Chidi Eze", "chidi", "agent"),
    person("Łukasz Kowal", "lukasz", "agent"),
    person("दीपक यादव", "deepak", "agent"),
    person("Hannah Reyes", "hannah", "agent"),
    person("Юлия Соколова", "yulia", "viewer"),
    person("Meera Pillai", "meera", "viewer"),
    person("健太 田中", "kenta", "viewer"),
    person("Paula Calvo", "paula", "viewer"),
    person("Zubair Qureshi", "zubair", "billing"),
    person("Owen Pierce", "owen", "billing"),
    person("Ilse Fuchs", "ilse", "billing"),
    person("Rehana Bose", "rehana", "agent"),
];

/// How applications introduce themselves in `context.user_agent`.
pub const USER_AGENTS: [&str; 7] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
    "VeloConnect-Android/7.12.0 (okhttp/4.12.0)",
];
