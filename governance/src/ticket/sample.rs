//! Tickets in every state, as the actions of those who sign them.

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::id::DocumentId;

use crate::generator::names::Names;
use crate::generator::random::Random;
use crate::generator::scene::{Role, Scene};
use crate::ticket::{self, Action, Assignee, Channel, Kind, NewTicket, Receipt};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A ticket with its history, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleTicket {
    /// Its base document.
    pub document: DocumentId,
    /// What the villager keeps.
    pub receipt: Receipt,
    /// The history.
    pub scenes: Vec<Scene>,
}

/// A matter people report, and how it usually ends.
struct Matter {
    kind: Kind,
    channel: Channel,
    text: &'static str,
    progress: &'static str,
    result: &'static str,
}

const MATTERS: [Matter; 12] = [
    Matter {
        kind: Kind::Service,
        channel: Channel::Plate,
        text: "村东头第二排的路灯坏了三天，晚上老人出门看不见",
        progress: "已联系维修队，明天上午到",
        result: "更换灯泡两只、电线一段，当晚已亮",
    },
    Matter {
        kind: Kind::Policy,
        channel: Channel::Hotline,
        text: "小麦赤霉病用什么药，什么时候打",
        progress: "农管员已电话答复，下午到地头看",
        result: "扬花初期用戊唑醇，隔七天再打一遍，已现场示范",
    },
    Matter {
        kind: Kind::Other,
        channel: Channel::Grid,
        text: "村西沟渠被秸秆堵住，下雨水排不出去",
        progress: "已安排挖掘机，两天内清理",
        result: "清理沟渠三百米，排水已通",
    },
    Matter {
        kind: Kind::Policy,
        channel: Channel::WalkIn,
        text: "父亲满八十岁了，高龄津贴在哪里办",
        progress: "村委已代收身份证和户口本复印件",
        result: "已代办上报，下月起发放",
    },
    Matter {
        kind: Kind::Service,
        channel: Channel::CityHotline,
        text: "自来水水压太低，二楼用不上水",
        progress: "供水站正在查管道",
        result: "更换阀门一处，二楼水压正常",
    },
    Matter {
        kind: Kind::Other,
        channel: Channel::Plate,
        text: "邻居建房占了公共胡同，车进不来",
        progress: "调解员已约两家明天到村委",
        result: "两家签了调解书，占道砖料已搬走",
    },
    Matter {
        kind: Kind::Emergency,
        channel: Channel::Hotline,
        text: "支脉河堤有一处渗水，旁边就是大棚",
        progress: "抢险队已到，正在堆沙袋",
        result: "渗水已堵住，安排两人值守到天亮",
    },
    Matter {
        kind: Kind::Other,
        channel: Channel::Enterprise,
        text: "面粉厂门口的限高杆影响货车进出，能否调整",
        progress: "镇交管所已到现场测量",
        result: "限高杆外移六米，货车可以转弯",
    },
    Matter {
        kind: Kind::Service,
        channel: Channel::Plate,
        text: "垃圾桶满了两天没人收，味道很大",
        progress: "已通知环卫车下午加一趟",
        result: "已清运，改为每天一收",
    },
    Matter {
        kind: Kind::Policy,
        channel: Channel::Plate,
        text: "孩子转学回镇中心小学需要带什么材料",
        progress: "学校回复后告诉您",
        result: "户口本、监护人身份证、原校学籍号，八月二十日前到校",
    },
    Matter {
        kind: Kind::Other,
        channel: Channel::OwnReport,
        text: "巡查发现五保老人王大爷家屋顶漏雨",
        progress: "瓦工已看过，等天晴施工",
        result: "换瓦四十片，重做防水",
    },
    Matter {
        kind: Kind::Service,
        channel: Channel::Grid,
        text: "健身广场的单杠松了，孩子玩有危险",
        progress: "先拉了警戒线",
        result: "单杠已加固并重新浇筑底座",
    },
];

/// How far a ticket has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Reported,
    Accepted,
    Assigned,
    Handling,
    Answered,
    Rated(u8),
    Rejected,
    Returned,
    Overdue,
}

const STAGES: [Stage; 12] = [
    Stage::Rated(5),
    Stage::Reported,
    Stage::Handling,
    Stage::Answered,
    Stage::Assigned,
    Stage::Rated(4),
    Stage::Rejected,
    Stage::Accepted,
    Stage::Rated(5),
    Stage::Overdue,
    Stage::Returned,
    Stage::Rated(2),
];

/// The `number`-th ticket of `village`.
pub(crate) fn ticket(
    random: &mut Random,
    names: &Names,
    village: AddressCode,
    secretary: &str,
    number: usize,
    now_ms: i64,
) -> SampleTicket {
    let stage = *STAGES.get(number % STAGES.len()).expect("a remainder");
    // Steps that do not divide the number of matters bring every matter into every stage.
    let matter = MATTERS.get((number * 5 + number / MATTERS.len()) % MATTERS.len());
    let matter = matter.expect("a remainder");
    let age_ms = match stage {
        Stage::Reported => i64::from(random.between(10, 100)) * MINUTE_MS,
        Stage::Accepted | Stage::Assigned | Stage::Handling | Stage::Returned => {
            i64::from(random.between(150, 400)) * MINUTE_MS
        }
        Stage::Overdue => i64::from(random.between(20, 28)) * DAY_MS,
        Stage::Answered | Stage::Rated(_) | Stage::Rejected => {
            i64::from(random.between(2, 60)) * DAY_MS
        }
    };
    let mut history = History::begin(random, names, village, matter, now_ms - age_ms);
    history.go(random, stage, secretary, matter);
    history.ticket
}

/// The three families of the story.
pub(crate) fn story(
    random: &mut Random,
    names: &Names,
    village: AddressCode,
    secretary: &str,
    now_ms: i64,
) -> Vec<SampleTicket> {
    const WORDS: [(&str, i64); 3] = [
        ("家里老房想翻建，请问需要办哪些手续？", 170),
        ("老房翻建需要办哪些手续，找谁批", 95),
        ("想把老房翻建一下，要办什么手续？宅基地证还是父亲的名字", 35),
    ];
    let mut tickets = Vec::new();
    for (place, (text, minutes)) in WORDS.into_iter().enumerate() {
        let matter =
            Matter { kind: Kind::Policy, channel: Channel::Plate, text, progress: "", result: "" };
        let at_ms = now_ms - minutes * MINUTE_MS;
        let mut history = History::begin(random, names, village, &matter, at_ms);
        if place == 0 {
            history.go(random, Stage::Assigned, secretary, &matter);
        }
        tickets.push(history.ticket);
    }
    tickets
}

/// A ticket's history being written.
struct History {
    ticket: SampleTicket,
    home: cunlian_protocol::change::Home,
    at_ms: i64,
}

impl History {
    fn begin(
        random: &mut Random,
        names: &Names,
        village: AddressCode,
        matter: &Matter,
        at_ms: i64,
    ) -> Self {
        let document = random.document();
        let by_villager = matches!(
            matter.channel,
            Channel::Plate | Channel::Hotline | Channel::CityHotline | Channel::WalkIn
        );
        let phone = format!("139{:08}", random.below(100_000_000));
        let name = names.adult(random);
        let new = NewTicket {
            village,
            channel: matter.channel,
            title: String::new(),
            text: matter.text.to_owned(),
            kind: None,
            photos: Vec::new(),
            name: if by_villager { name } else { String::new() },
            phone: if by_villager { phone } else { String::new() },
            source: matter.channel.as_str().to_owned(),
        };
        let (receipt, writes) =
            ticket::report(&new, document, at_ms).expect("generated reports are in order");
        let home = writes.first().expect("a report writes its base document").home;
        let scene = |write| Scene { role: Role::Village, at_ms, write };
        let scenes = writes.into_iter().map(scene).collect();
        Self { ticket: SampleTicket { document, receipt, scenes }, home, at_ms }
    }

    /// Everything from the report to `stage`. Steps take minutes, so that they fit into the age
    /// drawn for the stage.
    fn go(&mut self, random: &mut Random, stage: Stage, secretary: &str, matter: &Matter) {
        if stage == Stage::Reported {
            return;
        }
        self.act(random, Role::Dispatcher, &Action::Accept { kind: matter.kind });
        if stage == Stage::Rejected {
            let reason = "与已办结工单重复，已电话说明".to_owned();
            return self.act(random, Role::Dispatcher, &Action::Reject { reason });
        }
        if stage == Stage::Accepted {
            return;
        }
        let name = format!("村支书 {secretary}");
        let to = Assignee { name, address: self.home.address };
        self.act(random, Role::Dispatcher, &Action::Assign { to: to.clone() });
        if stage == Stage::Returned {
            let reason = "需要镇水利站出机械，村里办不了".to_owned();
            return self.act(random, Role::Secretary, &Action::Return { reason });
        }
        if matches!(stage, Stage::Assigned | Stage::Overdue) {
            return;
        }
        let text = matter.progress.to_owned();
        self.act(random, Role::Secretary, &Action::Handle { text });
        if stage == Stage::Handling {
            return;
        }
        let text = matter.result.to_owned();
        self.act(random, Role::Secretary, &Action::Feedback { text, photos: Vec::new() });
        if let Stage::Rated(stars) = stage {
            let text = if stars >= 4 { "办得快，谢谢" } else { "时间太长了" }.to_owned();
            self.act(random, Role::Village, &Action::Rate { stars, text });
        }
    }

    fn act(&mut self, random: &mut Random, role: Role, action: &Action) {
        self.at_ms += i64::from(random.between(5, 30)) * MINUTE_MS;
        let write = action.write(self.home, "demo");
        self.ticket.scenes.push(Scene { role, at_ms: self.at_ms, write });
    }
}
