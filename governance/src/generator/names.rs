//! Names of people who do not exist: surnames as a village of northern Shandong mixes them,
//! given names as each generation liked them.

use cunlian_protocol::address::AddressCode;
use jiff::civil::Date;

use super::random::Random;
use crate::checks::Sex;

const SURNAMES: [&str; 36] = [
    "王", "李", "张", "刘", "孙", "赵", "杨", "马", "徐", "高", "郭", "朱", "孟", "于", "崔", "韩",
    "宋", "董", "田", "曹", "周", "吴", "陈", "胡", "耿", "蔡", "樊", "窦", "吕", "袁", "贾", "邢",
    "信", "成", "翟", "路",
];

/// Villages named after a family that still lives there.
const FAMILIES: [(&str, &str); 6] = [
    ("370322102308", "苑"),
    ("370322102309", "苑"),
    ("370322102310", "苑"),
    ("370322102211", "耿"),
    ("370322102277", "袁"),
    ("370322102300", "吕"),
];

const MEN_BEFORE_1965: [&str; 20] = [
    "建国", "国庆", "爱民", "福生", "长河", "永贵", "德胜", "玉田", "振东", "兴旺", "宝山", "学文",
    "庆丰", "守业", "春生", "延河", "金山", "文才", "连成", "树林",
];
const WOMEN_BEFORE_1965: [&str; 20] = [
    "秀英", "桂兰", "玉珍", "淑芬", "凤英", "秀兰", "桂英", "玉梅", "爱华", "月娥", "春兰", "素珍",
    "翠花", "巧云", "兰香", "金凤", "俊英", "玉芹", "宝珍", "改英",
];
const MEN_TO_1989: [&str; 20] = [
    "军", "强", "建军", "志刚", "海涛", "卫东", "立新", "永强", "国强", "洪波", "学军", "勇", "鹏",
    "磊", "新华", "光明", "红军", "振华", "玉良", "晓东",
];
const WOMEN_TO_1989: [&str; 20] = [
    "丽", "红", "艳", "红梅", "海燕", "春霞", "秀丽", "晓燕", "玉玲", "燕", "爱玲", "桂芳", "丽娟",
    "玉霞", "金玲", "彩霞", "翠萍", "文娟", "秀芹", "静",
];
const MEN_SINCE_1990: [&str; 20] = [
    "浩", "宇航", "子豪", "俊杰", "明轩", "鑫", "博文", "浩然", "天佑", "家豪", "晨曦", "文博",
    "梓轩", "一鸣", "凯", "昊天", "泽宇", "思远", "少杰", "嘉伟",
];
const WOMEN_SINCE_1990: [&str; 20] = [
    "婷", "雨欣", "梦瑶", "佳怡", "欣怡", "子涵", "诗涵", "雪", "晓彤", "思雨", "一诺", "梓萱",
    "语嫣", "静怡", "慧敏", "若曦", "雅琪", "可馨", "文静", "婉婷",
];

/// Draws names for one village.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// The families most people of the village belong to.
    main: [&'static str; 3],
}

impl Names {
    pub(crate) fn new(village: AddressCode, random: &mut Random) -> Self {
        let mut main = [(); 3].map(|()| random.pick(&SURNAMES));
        let named = FAMILIES.iter().find(|(code, _)| *code == village.as_str());
        if let (Some((_, surname)), Some(first)) = (named, main.first_mut()) {
            *first = surname;
        }
        Self { main }
    }

    /// A surname: half of the village has the first one, a third the next two.
    pub(crate) fn surname(&self, random: &mut Random) -> &'static str {
        let [first, second, third] = self.main;
        match random.below(12) {
            0..=5 => first,
            6..=7 => second,
            8..=9 => third,
            _ => random.pick(&SURNAMES),
        }
    }

    /// The surname of somebody who married into the village.
    pub(crate) fn foreign_surname(random: &mut Random) -> &'static str {
        random.pick(&SURNAMES)
    }

    /// A given name for this sex and year of birth.
    pub(crate) fn given(random: &mut Random, sex: Sex, birth: Date) -> &'static str {
        match (sex, birth.year()) {
            (Sex::Male, ..1965) => random.pick(&MEN_BEFORE_1965),
            (Sex::Female, ..1965) => random.pick(&WOMEN_BEFORE_1965),
            (Sex::Male, ..1990) => random.pick(&MEN_TO_1989),
            (Sex::Female, ..1990) => random.pick(&WOMEN_TO_1989),
            (Sex::Male, 1990..) => random.pick(&MEN_SINCE_1990),
            (Sex::Female, 1990..) => random.pick(&WOMEN_SINCE_1990),
        }
    }

    /// The full name of an adult in office or at the phone.
    pub(crate) fn adult(&self, random: &mut Random) -> String {
        let given =
            if random.chance(60) { random.pick(&MEN_TO_1989) } else { random.pick(&WOMEN_TO_1989) };
        format!("{}{given}", self.surname(random))
    }
}
