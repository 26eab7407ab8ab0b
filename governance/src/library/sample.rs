//! The library of one village: its public records, then household after household.

use std::collections::VecDeque;

use cunlian_crdt::document::Write;
use cunlian_protocol::address::AddressCode;

use crate::checks;
use crate::generator::household::{Household, Person};
use crate::generator::names::Names;
use crate::generator::random::Random;
use crate::library::catalogue::Catalogue;
use crate::library::{Fields, Origin, Place, record};

/// The writes of a village, group by group; see [`crate::generator::Generator::records`].
#[derive(Debug)]
pub struct Records {
    draw: Draw,
    has_flats: bool,
    household: u32,
    first: VecDeque<Vec<Write>>,
    left: usize,
}

/// What is needed to draw one record.
#[derive(Debug)]
struct Draw {
    random: Random,
    names: Names,
    village: AddressCode,
    catalogue: Catalogue,
    origin: Origin,
}

impl Records {
    pub(crate) fn new(mut random: Random, village: AddressCode, count: usize) -> Self {
        let names = Names::new(village, &mut random);
        let has_flats = random.chance(33);
        let origin = Origin { source: "import".to_owned(), task: String::new() };
        let catalogue = Catalogue::built_in();
        let mut draw = Draw { random, names, village, catalogue, origin };
        let first = VecDeque::from([draw.offices(), draw.facilities()]);
        Self { draw, has_flats, household: 0, first, left: count }
    }
}

impl Iterator for Records {
    type Item = Vec<Write>;

    fn next(&mut self) -> Option<Vec<Write>> {
        if self.left == 0 {
            return None;
        }
        let mut group = self.first.pop_front().unwrap_or_else(|| {
            let draw = &mut self.draw;
            let household = Household::draw(
                &mut draw.random,
                &draw.names,
                draw.village,
                self.has_flats,
                self.household,
            );
            self.household += 1;
            draw.household(&household)
        });
        group.truncate(self.left);
        self.left -= group.len();
        Some(group)
    }
}

impl Draw {
    fn offices(&mut self) -> Vec<Write> {
        let village = self.village;
        let head = self.names.adult(&mut self.random);
        let mut writes = self.record(
            "organisation",
            village,
            &[
                ("name", "村党支部"),
                ("kind", "党支部"),
                ("joined", "1958-07-01"),
                ("members", "46"),
                ("state", "正式"),
            ],
        );
        let members = self.random.between(5, 7).to_string();
        writes.extend(self.record(
            "organisation",
            village,
            &[
                ("name", "村民委员会"),
                ("kind", "村委会"),
                ("joined", "1983-12-01"),
                ("members", &members),
                ("state", "正式"),
            ],
        ));
        let phone = self.mobile();
        writes.extend(self.record(
            "medical",
            village,
            &[
                ("name", "村卫生室"),
                ("kind", "村卫生室"),
                ("head", &head),
                ("hours", "8:00–17:30"),
                ("doctors", "2"),
                ("beds", "3"),
                ("insurance", "是"),
                ("phone", &phone),
            ],
        ));
        writes
    }

    fn facilities(&mut self) -> Vec<Write> {
        const KINDS: [(&str, &str, &str); 8] = [
            ("文化广场", "广场", "1"),
            ("农家书屋", "文化室", "1"),
            ("主街路灯", "路灯", "24"),
            ("公共卫生间", "公厕", "2"),
            ("垃圾收集点", "垃圾点", "6"),
            ("健身器材", "健身器材", "9"),
            ("应急避难点", "避难点", "1"),
            ("村口监控", "监控", "4"),
        ];
        let village = self.village;
        let mut writes = Vec::new();
        for (name, kind, count) in KINDS {
            let built = self.random.between(2006, 2024).to_string();
            let keeper = self.names.adult(&mut self.random);
            let state = if self.random.chance(85) { "完好" } else { "待修" };
            writes.extend(self.record(
                "facility",
                village,
                &[
                    ("name", name),
                    ("kind", kind),
                    ("count", count),
                    ("built", &built),
                    ("state", state),
                    ("keeper", &keeper),
                ],
            ));
        }
        for (name, kind) in [("一号机井", "机井"), ("二号机井", "机井"), ("村北沟渠", "沟渠")]
        {
            let keeper = self.names.adult(&mut self.random);
            let phone = self.mobile();
            writes.extend(self.record(
                "farmland",
                village,
                &[
                    ("name", name),
                    ("kind", kind),
                    ("state", "完好"),
                    ("keeper", &keeper),
                    ("keeper_phone", &phone),
                ],
            ));
        }
        writes
    }

    fn household(&mut self, household: &Household) -> Vec<Write> {
        let mut writes = Vec::new();
        for person in &household.people {
            writes.extend(self.person(household, person));
        }
        writes.extend(self.house(household));
        if self.random.chance(80) {
            writes.extend(self.plot(household));
        }
        if self.random.chance(6) {
            writes.extend(self.enterprise(household));
        }
        if household.people.len() == 1 && household.head().age >= 65 {
            writes.extend(self.care(household));
        }
        for person in &household.people {
            if person.age >= 25 && self.random.chance(6) {
                writes.extend(self.party_member(household, person));
            }
        }
        writes
    }

    fn person(&mut self, household: &Household, person: &Person) -> Vec<Write> {
        let birth = person.birth.to_string();
        let number = household.household_number();
        let residence = match (person.age, self.random.below(10)) {
            (18..=50, 0..=2) => "外出",
            (_, 9) if person.relation == "户主" => "空挂户",
            _ => "常住",
        };
        let education = self.education(person.age);
        let ethnic = if self.random.chance(98) { "汉族" } else { "回族" };
        let mut fields = vec![
            ("name", person.name.clone()),
            ("sex", person.sex.as_str().to_owned()),
            ("birth", birth),
            ("ethnic", ethnic.to_owned()),
            ("household", number),
            ("relation", person.relation.to_owned()),
            ("residence", residence.to_owned()),
            ("education", education.to_owned()),
            ("id_number", person.id_number.clone()),
        ];
        if (16..85).contains(&person.age) && self.random.chance(85) {
            fields.push(("phone", self.mobile()));
        }
        let ill = if person.age >= 60 { 35 } else { 4 };
        if self.random.chance(ill) {
            let illness = self.random.pick(&["高血压", "糖尿病", "冠心病", "腰椎病", "脑梗后遗症"]);
            fields.push(("illness", illness.to_owned()));
            if self.random.chance(15) {
                let grade = self.random.pick(&["二级", "三级", "四级"]);
                fields.push(("disability", grade.to_owned()));
            }
        }
        if person.age >= 80 {
            fields.push(("benefit", "高龄津贴".to_owned()));
        } else if self.random.chance(5) {
            let benefit = self.random.pick(&["低保", "残疾补贴", "优抚"]);
            fields.push(("benefit", benefit.to_owned()));
        }
        if person.age < 14 {
            fields.push(("guardian", household.head().name.clone()));
            fields.push(("child_name", person.name.clone()));
        }
        let pairs: Vec<(&str, &str)> =
            fields.iter().map(|(key, text)| (*key, text.as_str())).collect();
        self.record("population", household.address, &pairs)
    }

    fn education(&mut self, age: u32) -> &'static str {
        match age {
            0..=6 => "未上学",
            7..=12 => "小学",
            13..=15 => "初中",
            16..=18 => "高中",
            19..=35 => self.random.pick(&["初中", "高中", "大专", "大专", "本科及以上"]),
            36..=60 => self.random.pick(&["小学", "初中", "初中", "初中", "高中"]),
            _ => self.random.pick(&["未上学", "小学", "小学", "初中"]),
        }
    }

    fn house(&mut self, household: &Household) -> Vec<Write> {
        let built = self.random.between(1982, 2023);
        let structure = if built < 1995 { "砖木" } else { "砖混" };
        let danger = if built < 1990 && self.random.chance(12) { "C级" } else { "A级" };
        let area = self.random.between(80, 220).to_string();
        let floors = if built > 2010 && self.random.chance(40) { "2" } else { "1" };
        let purpose = if self.random.chance(90) { "自住" } else { "闲置" };
        let name = format!("{}号", household.household_number());
        let owner = household.head();
        self.record(
            "housing",
            household.address,
            &[
                ("name", &name),
                ("use", purpose),
                ("structure", structure),
                ("built", &built.to_string()),
                ("floors", floors),
                ("area", &area),
                ("household", &household.household_number()),
                ("danger", danger),
                ("owner", &owner.name),
                ("owner_id", &owner.id_number),
            ],
        )
    }

    fn plot(&mut self, household: &Household) -> Vec<Write> {
        let side = self.random.pick(&["村东", "村西", "村南", "村北"]);
        let name = format!("{side}{}号地", self.random.between(1, 60));
        let area = format!("{}.{}", self.random.between(2, 14), self.random.below(10));
        let crop = self.random.pick(&["小麦、玉米", "小麦、大豆", "棉花", "大蒜", "小麦、玉米"]);
        let irrigation = self.random.pick(&["渠灌", "渠灌", "井灌", "滴灌"]);
        self.record(
            "farmland",
            household.address,
            &[
                ("name", &name),
                ("kind", "承包地"),
                ("area", &area),
                ("crop", crop),
                ("irrigation", irrigation),
                ("household", &household.household_number()),
                ("until", "2028-09-30"),
            ],
        )
    }

    fn enterprise(&mut self, household: &Household) -> Vec<Write> {
        let owner = household.head();
        let trade =
            self.random.pick(&["零售", "餐饮", "农资", "理发", "养殖", "农机维修", "面粉加工"]);
        let surname = owner.name.chars().next().unwrap_or('王');
        let name = format!("{surname}家{trade}部");
        let code = self.credit_code();
        let opened =
            format!("{}-{:02}-18", self.random.between(2008, 2025), self.random.between(1, 12));
        let staff = self.random.between(1, 6).to_string();
        let phone = self.mobile();
        self.record(
            "enterprise",
            household.address,
            &[
                ("name", &name),
                ("kind", "个体工商户"),
                ("credit_code", &code),
                ("trade", trade),
                ("opened", &opened),
                ("staff", &staff),
                ("state", "在业"),
                ("owner", &owner.name),
                ("owner_id", &owner.id_number),
                ("phone", &phone),
            ],
        )
    }

    fn care(&mut self, household: &Household) -> Vec<Write> {
        let person = household.head();
        let helper = self.names.adult(&mut self.random);
        let frequency = if person.age >= 80 { "每日" } else { "每周" };
        let visited = format!("2026-06-{:02}", self.random.between(1, 28));
        let need = self.random.pick(&["送餐", "代买药", "修缮房屋", "陪同就医", "冬季取暖"]);
        let phone = self.mobile();
        self.record(
            "care",
            household.address,
            &[
                ("name", &person.name),
                ("sex", person.sex.as_str()),
                ("birth", &person.birth.to_string()),
                ("helper", &helper),
                ("frequency", frequency),
                ("visited", &visited),
                ("phone", &phone),
                ("group", "独居老人"),
                ("need", need),
            ],
        )
    }

    fn party_member(&mut self, household: &Household, person: &Person) -> Vec<Write> {
        let joined = format!("{}-07-01", i32::from(person.birth.year()) + 24);
        let phone = self.mobile();
        self.record(
            "organisation",
            household.address,
            &[
                ("name", &person.name),
                ("kind", "党员"),
                ("joined", &joined),
                ("branch", "村党支部"),
                ("state", "正式"),
                ("phone", &phone),
            ],
        )
    }

    fn mobile(&mut self) -> String {
        let prefix = self.random.pick(&["138", "139", "150", "151", "158", "159", "178", "186"]);
        format!("{prefix}{:08}", self.random.below(100_000_000))
    }

    fn credit_code(&mut self) -> String {
        let number = self.random.below(100_000_000);
        let body = format!("92370322MA{number:07}", number = number % 10_000_000);
        let check = checks::credit_check_character(&body).expect("17 characters of the alphabet");
        format!("{body}{check}")
    }

    /// The writes of one record, through the same checks as a form.
    fn record(&mut self, class: &str, address: AddressCode, pairs: &[(&str, &str)]) -> Vec<Write> {
        let place = Place { address, record: self.random.document() };
        let fields: Fields =
            pairs.iter().map(|&(key, text)| (key.to_owned(), text.to_owned())).collect();
        record::register(&self.catalogue, class, place, &fields, &self.origin)
            .expect("generated records pass the checks of the catalogue")
    }
}
