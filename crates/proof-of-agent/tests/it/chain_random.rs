//! The money and the room of a chain, over many random ones.

use poa_common::Msat;
use proof_of_agent::chain::{MAX_BEFORE_CLAIM, MAX_STATEMENTS};
use proof_of_agent::{
    Author, Body, Chain, Deadline, Decision, DecisionKind, Position, Rail, ReleasePolicy, Settlement,
    SettlementKind, Statement, TermsOffered,
};

use crate::fixture::{World, accepted, decision, id, settlement, submitted, terms};
use crate::plan::verdict;
use crate::random::Random;

const POLICY: ReleasePolicy = ReleasePolicy::OnAcceptance;

fn part(amount: i64) -> Decision {
    Decision { amount_msat: Some(Msat::new(amount)), ..decision(DecisionKind::AcceptedInPart) }
}

/// Terms whose price and fee are drawn.
fn drawn_terms(random: &mut Random) -> TermsOffered {
    let price = match random.below(4) {
        0 => 1 + random.below(30),
        1 => 1 + random.below(100_000),
        2 => 1 + random.below(1_000_000_000_000),
        _ => 2_100_000_000_000_000_000 - random.below(1_000),
    };
    let fee_bps = match random.below(5) {
        0 => 0,
        1 => 10_000,
        _ => random.below(10_001),
    };
    let price_msat = Msat::new(i64::try_from(price).unwrap());
    let fee_bps = u32::try_from(fee_bps).unwrap();
    let fee_msat = price_msat.share_floor(fee_bps).unwrap();
    let payee_net_msat = price_msat.checked_sub(fee_msat).unwrap();
    TermsOffered { price_msat, fee_bps, fee_msat, payee_net_msat, ..terms(POLICY) }
}

/// What all settlements together moved.
#[derive(Default)]
struct Moved {
    fee: i64,
    payee: i64,
    refund: i64,
}

impl Moved {
    fn add(&mut self, settlement: &Settlement) {
        let parts =
            [settlement.fee_msat, settlement.payee_msat, settlement.refund_msat.unwrap_or(Msat::ZERO)];
        assert!(parts.iter().all(|part| !part.is_negative()));
        let back = if settlement.kind.pays() { parts[2].get() } else { settlement.amount_msat.get() };
        self.fee += parts[0].get();
        self.payee += parts[1].get();
        self.refund += back;
    }
}

/// The settlement that pays `paid` of all that is left, by the rules of the documentation.
fn settled(chain: &Chain, kind: SettlementKind, amount: i64, paid: i64) -> Settlement {
    let before = chain.captured();
    let total = before.amount.get() + paid;
    let bps = chain.terms_offered().unwrap().fee_bps;
    let fee = i64::try_from(i128::from(total) * i128::from(bps) / 10_000).unwrap() - before.fee.get();
    Settlement {
        kind,
        amount_msat: Msat::new(amount),
        fee_msat: Msat::new(if kind.pays() { fee } else { 0 }),
        payee_msat: Msat::new(if kind.pays() { paid - fee } else { 0 }),
        refund_msat: (kind == SettlementKind::Split).then(|| Msat::new(amount - paid)),
        payee: kind.pays().then(|| id(2)),
        ..settlement(SettlementKind::Released)
    }
}

#[test]
fn all_parts_fees_and_refunds_of_any_chain_sum_to_the_price() {
    let world = World::new();
    let mut random = Random::new(1);
    let mut ends = [0_usize; 3];
    for round in 0..2_000 {
        let offer = world.offer_of(world.for_requester(), drawn_terms(&mut random));
        let price = offer.body().as_terms_offered().unwrap().price_msat.get();
        let acceptance = world.accept(&offer, 1);
        let mut chain = world.chain(&[offer, acceptance.clone()]);
        let (mut moved, mut last) = (Moved::default(), acceptance.clone());
        let mut paid = 0;
        let mut append = |chain: &mut Chain, author: Author, body: Body| {
            let next = last.successor(author, body).unwrap();
            if let Some(settlement) = next.body().as_settlement() {
                moved.add(settlement);
            }
            chain.append(next.clone()).unwrap();
            last = next;
        };
        let submit = |chain: &mut Chain, append: &mut dyn FnMut(&mut Chain, Author, Body)| {
            append(chain, world.by_agent(), submitted(&acceptance).into());
            append(chain, world.by_platform(), world.received().into());
        };
        for _ in 0..random.below(6) {
            let rest = chain.rest().unwrap().get();
            if rest < 2 {
                break;
            }
            let amount = 1 + i64::try_from(random.below(u64::try_from(rest - 1).unwrap())).unwrap();
            submit(&mut chain, &mut append);
            append(&mut chain, world.for_requester(), part(amount).into());
            let body = settled(&chain, SettlementKind::Captured, amount, amount);
            append(&mut chain, world.by_platform(), body.into());
            paid += amount;
        }
        let rest = chain.rest().unwrap().get();
        assert_eq!(rest, price - paid);
        submit(&mut chain, &mut append);
        let (kind, award) = match random.below(3) {
            0 => (SettlementKind::Released, rest),
            1 if rest > 1 => (
                SettlementKind::Split,
                1 + i64::try_from(random.below(u64::try_from(rest - 1).unwrap())).unwrap(),
            ),
            _ => (SettlementKind::Refunded, 0),
        };
        if kind == SettlementKind::Released && random.below(2) == 0 {
            append(&mut chain, world.for_requester(), decision(DecisionKind::Accepted).into());
        } else {
            append(&mut chain, world.for_requester(), decision(DecisionKind::Disputed).into());
            append(&mut chain, world.by_arbiter(), verdict(award).into());
        }
        let body = settled(&chain, kind, rest, award);
        append(&mut chain, world.by_platform(), body.into());
        assert_eq!(chain.position(), Position::Settled);
        assert_eq!(moved.fee + moved.payee + moved.refund, price, "round {round}");
        // The fee of all parts together is the fee of their sum.
        let sum = Msat::new(paid + award);
        let bps = chain.terms_offered().unwrap().fee_bps;
        assert_eq!(Msat::new(moved.fee), sum.share_floor(bps).unwrap(), "round {round}");
        ends[match kind {
            SettlementKind::Released => 0,
            SettlementKind::Split => 1,
            _ => 2,
        }] += 1;
    }
    assert!(ends.iter().all(|count| *count > 300), "{ends:?}");
}

/// What may be tried next, wherever the task stands: every kind, of every one who may say it.
fn attempts(world: &World, chain: &Chain, random: &mut Random) -> Vec<(bool, Author, Body)> {
    use DecisionKind as D;
    let rest = chain.rest().unwrap_or(Msat::ZERO).get();
    let some = 1 + i64::try_from(random.below(u64::try_from(rest.max(1)).unwrap())).unwrap();
    let mut next: Vec<(bool, Author, Body)> = Vec::new();
    for kind in [
        D::Accepted,
        D::Rejected,
        D::DeadlinePassed,
        D::CriteriaMet,
        D::AcceptedInPart,
        D::RevisionRequested,
        D::DeadlineExtended,
        D::Disputed,
        D::Verdict,
        D::Expired,
        D::Canceled,
    ] {
        let author = match kind {
            D::Verdict => world.by_arbiter(),
            D::DeadlinePassed | D::CriteriaMet | D::Expired => world.by_platform(),
            _ => world.for_requester(),
        };
        let mut body = decision(kind);
        if body.amount_msat.is_some() {
            let award = if kind == D::Verdict && random.below(3) == 0 { 0 } else { some };
            body.amount_msat = Some(Msat::new(award.max(i64::from(kind != D::Verdict))));
        }
        if kind == D::DeadlineExtended {
            let all = [Deadline::Expiry, Deadline::Work, Deadline::Review];
            body.deadline = Some(all[usize::try_from(random.below(3)).unwrap()]);
        }
        next.push((false, author, body.into()));
    }
    if let Some(acceptance) = chain.acceptance() {
        next.push((false, world.by_agent(), submitted(acceptance).into()));
        let number = chain.terms_accepted().unwrap().claim_number;
        next.push((true, world.by_agent(), accepted(number + 1).into()));
    } else {
        next.push((true, world.by_agent(), accepted(1).into()));
    }
    next.push((false, world.by_platform(), world.received().into()));
    let awarded = chain.decided().and_then(|it| it.amount_msat).unwrap_or(Msat::ZERO).get();
    for (kind, amount, paid) in [
        (SettlementKind::Captured, awarded, awarded),
        (SettlementKind::Released, rest, rest),
        (SettlementKind::Split, rest, awarded),
        (SettlementKind::Refunded, rest, 0),
        (SettlementKind::FundingLost, rest, 0),
    ] {
        let is_whole = amount > 0 && (kind != SettlementKind::Split || (0 < awarded && awarded < rest));
        if is_whole {
            let rail = chain.terms_offered().unwrap().rail;
            let mut body = Settlement { rail, ..settled(chain, kind, amount, paid) };
            if kind == SettlementKind::FundingLost {
                (body.rail, body.transfers) = (Rail::HoldInvoice, vec![]);
            }
            next.push((false, world.by_platform(), body.into()));
        }
    }
    next
}

/// Appends what the chain takes of these, in any order; none where it takes nothing.
fn step(
    chain: &mut Chain,
    last: &mut Statement,
    offer: &Statement,
    attempts: Vec<(bool, Author, Body)>,
) -> Option<Body> {
    for (is_claim, author, body) in attempts {
        if !chain.position().may_be_followed_by(&body) {
            continue;
        }
        let parent = if is_claim { offer } else { &*last };
        let Ok(next) = parent.successor(author, body.clone()) else { continue };
        if chain.append(next.clone()).is_ok() {
            *last = next;
            return Some(body);
        }
    }
    None
}

/// The shortest way out: submit what must be received, decide what must be decided, move the sats.
fn way_out(body: &Body) -> u8 {
    match body {
        Body::Settlement(it) if it.kind != SettlementKind::Captured => 0,
        Body::Settlement(_) => 1,
        Body::Decision(it) => match it.kind {
            DecisionKind::Accepted | DecisionKind::CriteriaMet | DecisionKind::Expired => 2,
            DecisionKind::Verdict | DecisionKind::Rejected => 3,
            _ => 9,
        },
        Body::WorkReceived(_) => 2,
        Body::TermsOffered(_) | Body::TermsAccepted(_) | Body::WorkSubmitted(_) => 8,
    }
}

#[test]
fn whatever_was_appended_the_task_can_still_be_settled() {
    let world = World::new();
    let mut random = Random::new(7);
    let mut longest = 0;
    for walk in 0..32 {
        let policy = if walk % 3 == 0 { ReleasePolicy::OnAttestation } else { POLICY };
        let rail = if walk % 2 == 0 { Rail::Balance } else { Rail::HoldInvoice };
        let offer = world.offer_of(world.for_requester(), TermsOffered { rail, ..terms(policy) });
        let (mut chain, mut last) = (world.chain(std::slice::from_ref(&offer)), offer.clone());
        // Long walks, up to where nothing but the end is taken, and short ones.
        let steps = if walk % 4 == 0 { 1 + random.below(40) } else { 1_000 };
        for _ in 0..steps {
            let mut next = attempts(&world, &chain, &mut random);
            random.shuffle(&mut next);
            // A walk that ends early shows nothing about the end of the room.
            if steps == 1_000 {
                next.retain(|(_, _, body)| way_out(body) != 0);
                next.sort_by_key(|(_, _, body)| {
                    matches!(body, Body::Decision(it) if !matches!(it.kind,
                        DecisionKind::Rejected | DecisionKind::RevisionRequested | DecisionKind::DeadlineExtended))
                });
            }
            if step(&mut chain, &mut last, &offer, next).is_none() || chain.position() == Position::Settled {
                break;
            }
        }
        while chain.position() != Position::Settled {
            let mut next = attempts(&world, &chain, &mut random);
            next.sort_by_key(|(_, _, body)| way_out(body));
            let taken = step(&mut chain, &mut last, &offer, next);
            assert!(taken.is_some(), "walk {walk} is stuck: {} after {}", chain.position(), chain.len());
        }
        assert!(chain.len() <= MAX_STATEMENTS);
        longest = longest.max(chain.len());
    }
    // The walks met the end of the room.
    assert!(longest > MAX_BEFORE_CLAIM, "{longest}");
}

#[test]
fn at_every_length_each_position_has_a_way_to_the_end() {
    let world = World::new();
    let mut random = Random::new(11);
    // Rejections up to the last that is taken: the chain is as full as it gets before its end.
    let offer = world.offer(POLICY);
    let acceptance = world.accept(&offer, 1);
    let (mut chain, mut last) = (world.chain(&[offer.clone(), acceptance.clone()]), acceptance);
    loop {
        let (mut end, mut tail) = (chain.clone(), last.clone());
        while end.position() != Position::Settled {
            let mut next = attempts(&world, &end, &mut random);
            next.sort_by_key(|(_, _, body)| way_out(body));
            let taken = step(&mut end, &mut tail, &offer, next);
            assert!(taken.is_some(), "stuck: {} after {}", end.position(), end.len());
        }
        let wanted = |body: &Body| match body {
            Body::WorkSubmitted(_) | Body::WorkReceived(_) => true,
            Body::Decision(it) => it.kind == DecisionKind::Rejected,
            _ => false,
        };
        let mut next = attempts(&world, &chain, &mut random);
        next.retain(|(_, _, body)| wanted(body));
        if step(&mut chain, &mut last, &offer, next).is_none() {
            break;
        }
    }
    assert!(chain.len() > MAX_BEFORE_CLAIM, "{}", chain.len());
}
