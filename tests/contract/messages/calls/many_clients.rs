//! Many clients and several workers: no response is lost, doubled or given to another call.

use super::*;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

/// How many calls each of four clients makes in a leg. With `SHMKIT_TEST_LONG` all legs together
/// make a million calls. There are 25 legs then, since each leg has a watchdog of its own.
const CALLS: u64 = if cfg!(windows) { 2_000 } else { 10_000 };

fn legs() -> usize {
    match std::env::var_os("SHMKIT_TEST_LONG") {
        Some(_) => 25,
        None => 1,
    }
}

/// Makes the calls with these numbers, several pending at a time, and receives the responses in
/// random order.
pub fn call_all(client: &mut Client, who: u64, numbers: std::ops::Range<u64>, random: &mut Random) {
    let max = client.max_message();
    let mut open: Vec<(u64, Call)> = Vec::new();
    let take = |client: &mut Client, open: &mut Vec<(u64, Call)>, random: &mut Random| {
        let (n, call) = open.swap_remove(random.below(open.len() as u64) as usize);
        is_answer(client.recv(&call), who, n, max);
    };
    for n in numbers {
        let is_full = open.len() == client.in_flight();
        if is_full || !open.is_empty() && random.below(3) == 0 {
            take(client, &mut open, random);
        }
        let request = message(who, n, max);
        match open.is_empty() && random.below(4) == 0 {
            true => is_answer(client.call(&request), who, n, max),
            false => open.push((n, client.send(&request).unwrap())),
        }
    }
    while !open.is_empty() {
        take(client, &mut open, random);
    }
}

/// Answers a random one of the deferred requests.
fn answer_one(pool: &mut Vec<(Responder, Vec<u8>)>, random: &mut Random, max: usize) {
    let one = random.below(pool.len() as u64) as usize;
    let (responder, request) = pool.swap_remove(one);
    responder.respond(&answer_to(&request, max)).unwrap();
}

/// Answers requests in one of three ways: at once, later in random order, or by another thread.
/// Returns the requests that came.
fn work(mut server: Server, how: usize, mut random: Random, stop: &AtomicBool) -> Vec<(u64, u64)> {
    let max = server.max_message();
    let mut came = Vec::new();
    let mut pool: Vec<(Responder, Vec<u8>)> = Vec::new();
    let (hand, handed) = std::sync::mpsc::channel::<(Responder, Vec<u8>)>();
    let other = std::thread::spawn(move || {
        for (responder, request) in handed {
            responder.respond(&answer_to(&request, max)).unwrap();
        }
    });
    loop {
        // The worker waits only if it has no deferred request to answer.
        let next = match pool.is_empty() {
            true => server.recv_timeout(MOMENT),
            false => server.try_recv(),
        };
        let request = match next {
            Ok(request) => request,
            Err(RecvError::Empty) => {
                answer_one(&mut pool, &mut random, max);
                continue;
            }
            Err(RecvError::Timeout) if stop.load(SeqCst) => break,
            Err(RecvError::Timeout) => continue,
            Err(error) => panic!("{error}"),
        };
        let bytes = request.bytes();
        came.push(whole(bytes, max));
        match how % 3 {
            0 => request.respond(&answer_to(bytes, max)).unwrap(),
            1 => {
                pool.push((request.defer(), bytes.to_vec()));
                if pool.len() > random.below(6) as usize {
                    answer_one(&mut pool, &mut random, max);
                }
            }
            _ => hand.send((request.defer(), bytes.to_vec())).unwrap(),
        }
    }
    drop(hand);
    other.join().unwrap();
    came
}

/// Runs four clients, two of them in other processes, and one worker for each way in `workers`.
fn many_clients(stem: &str, workers: &[usize]) {
    for _ in 0..legs() {
        let (mut test, name) = start(stem);
        leg(&mut test, &name, workers);
    }
}

fn leg(test: &mut Test, name: &str, workers: &[usize]) {
    let mut random = Random::new();
    let options = Server::options().max_message(SHORT as u64).in_flight(4);
    let server = options.clients(4).create(name).unwrap();
    let spawn = |n: u64| TestChild::spawn("messages/caller", &[name, &n.to_string()]);
    let mut others = children(test, 2, spawn);
    others.iter_mut().for_each(|child| child.expect("ready"));
    let stop = AtomicBool::new(false);
    let mut came: Vec<_> = scope(|scope| {
        let mut seed = || Random(random.below(u64::MAX));
        let hows = workers
            .iter()
            .zip(std::iter::repeat_with(|| server.clone()));
        let working: Vec<_> = hows
            .map(|(how, server)| {
                let (random, stop) = (seed(), &stop);
                scope.spawn(move || work(server, *how, random, stop))
            })
            .collect();
        drop(server);
        let calling = [2, 3].map(|who| {
            let mut random = seed();
            scope.spawn(move || {
                let mut client = Client::open(name).unwrap();
                call_all(&mut client, who, 0..CALLS, &mut random);
            })
        });
        for child in &mut others {
            child.tell(&format!("all {CALLS}"));
        }
        calling.into_iter().for_each(|one| one.join().unwrap());
        others.iter_mut().for_each(|child| child.expect("done"));
        stop.store(true, SeqCst);
        let all = working.into_iter().map(|one| one.join().unwrap());
        all.inspect(|came| {
            // A single worker receives the requests of each client in order.
            let mut inbox = HashMap::new();
            for (from, number) in came
                .iter()
                .take(if workers.len() == 1 { usize::MAX } else { 0 })
            {
                let next = inbox.entry(*from).or_insert(0);
                assert_eq!(number, next, "of {from}");
                *next += 1;
            }
        })
        .flatten()
        .collect()
    });
    came.sort_unstable();
    let wanted = (0..4).flat_map(|who| (0..CALLS).map(move |n| (who, n)));
    assert!(came.into_iter().eq(wanted), "each request must come once");
    for child in others {
        assert!(child.finish().success());
    }
}

#[test]
fn one_worker_answers_many_clients() {
    many_clients("many_clients-one", &[0]);
}

#[test]
fn one_worker_answers_clients_in_any_order() {
    many_clients("many_clients-any", &[1]);
}

#[test]
fn several_workers_answer_many_clients() {
    many_clients("many_clients-several", &[0, 1, 2]);
}

#[test]
fn many_workers_receive_each_request_once() {
    let (_test, name) = start("many_clients-workers");
    let (server, mut client) = pair(&name, 8);
    let seen = Mutex::new(Vec::new());
    let stop = AtomicBool::new(false);
    scope(|scope| {
        for how in 0..6 {
            let (server, stop, seen) = (server.clone(), &stop, &seen);
            let random = Random(how as u64);
            scope.spawn(move || {
                let came = work(server, how, random, stop);
                seen.lock().unwrap().extend(came);
            });
        }
        call_all(&mut client, 5, 0..CALLS, &mut Random::new());
        stop.store(true, SeqCst);
    });
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    assert!(seen.into_iter().eq((0..CALLS).map(|n| (5, n))));
}

/// The result of a call: a response, or none.
type End = Option<Vec<u8>>;

/// A client and a server that run step by step, and the results that each must see.
struct Model {
    server: Server,
    client: Client,
    max: usize,
    next: u64,
    /// Requests that were sent, and not received.
    sent: VecDeque<(u64, Vec<u8>)>,
    taken: Vec<(u64, Responder)>,
    /// Calls that the client holds, with the result of those that have ended.
    held: Vec<(u64, Call, Option<End>)>,
    /// Calls that were dropped before they ended.
    dropped: Vec<u64>,
}

impl Model {
    fn bytes(&self, random: &mut Random) -> Vec<u8> {
        let len = match random.below(4) {
            0 => random.below(self.max as u64 + 1) as usize,
            1 => 0,
            _ => self.max,
        };
        (0..len).map(|_| random.below(256) as u8).collect()
    }

    fn over(&mut self, n: u64, end: End) {
        self.dropped.retain(|other| *other != n);
        if let Some(one) = self.held.iter_mut().find(|one| one.0 == n) {
            one.2 = Some(end);
        }
    }

    fn send(&mut self, random: &mut Random) {
        let bytes = self.bytes(random);
        let sent = self.client.try_send(&bytes);
        if self.held.len() + self.dropped.len() == self.client.in_flight() {
            return assert_eq!(why(sent), "Full");
        }
        self.held.push((self.next, sent.unwrap(), None));
        self.sent.push_back((self.next, bytes));
        self.next += 1;
    }

    fn take(&mut self) {
        let request = self.server.try_recv();
        match self.sent.pop_front() {
            None => assert_eq!(why(request), "Empty"),
            Some((n, bytes)) => {
                let request = request.unwrap();
                assert_eq!(request.bytes(), bytes);
                self.taken.push((n, request.defer()));
            }
        }
    }

    fn answer(&mut self, random: &mut Random) {
        if self.taken.is_empty() {
            return;
        }
        let one = random.below(self.taken.len() as u64) as usize;
        let (n, responder) = self.taken.swap_remove(one);
        let end = match random.below(8) {
            0 => {
                drop(responder);
                None
            }
            1 => {
                let long = vec![0; self.max + 1];
                assert!(matches!(
                    responder.respond(&long),
                    Err(SendError::TooLong { .. })
                ));
                None
            }
            _ => {
                let bytes = self.bytes(random);
                // A response always has space.
                responder.respond(&bytes).unwrap();
                Some(bytes)
            }
        };
        self.over(n, end);
    }

    fn look(&mut self, random: &mut Random) {
        if self.held.is_empty() {
            return;
        }
        let one = random.below(self.held.len() as u64) as usize;
        let (_, call, end) = &self.held[one];
        let came = self.client.try_recv(call);
        match end {
            None => assert_eq!(why(came), "Empty"),
            Some(None) => assert_eq!(why(came), "Unanswered"),
            Some(Some(bytes)) => assert_eq!(came.unwrap(), bytes),
        }
    }

    fn forget(&mut self, random: &mut Random) {
        if self.held.is_empty() {
            return;
        }
        let one = random.below(self.held.len() as u64) as usize;
        let (n, _call, end) = self.held.swap_remove(one);
        if end.is_none() {
            self.dropped.push(n);
        }
    }
}

#[test]
fn random_call_steps_match_model() {
    let (_test, name) = start("many_clients-steps");
    let mut random = Random::new();
    let many = if cfg!(windows) { 3_000 } else { 10_000 };
    for max in [0, 1, 40, 49, 112, 400, 1000, 2700] {
        for in_flight in [1, 2, 8] {
            let options = Server::options().max_message(max).in_flight(in_flight);
            let server = options.clients(1).create(&*name).unwrap();
            let mut model = Model {
                server,
                client: Client::open(&*name).unwrap(),
                max: max as usize,
                next: 0,
                sent: VecDeque::new(),
                taken: Vec::new(),
                held: Vec::new(),
                dropped: Vec::new(),
            };
            // For 100 steps at a time one kind of step is more frequent, so that one side is ahead
            // of the other.
            let mut hurry = 0;
            for step in 0..many {
                if step % 100 == 0 {
                    hurry = random.below(4);
                }
                match random.below(12) {
                    0..3 => model.send(&mut random),
                    3..5 => model.take(),
                    5..7 => model.answer(&mut random),
                    7 => model.look(&mut random),
                    8 => model.forget(&mut random),
                    _ if hurry == 0 => model.send(&mut random),
                    _ if hurry == 1 => model.take(),
                    _ if hurry == 2 => model.answer(&mut random),
                    _ => model.forget(&mut random),
                }
            }
        }
    }
}

// layout: L143
#[test]
fn longest_requests_and_responses_always_fit() {
    the_longest_have_room(&[0, 1, 47, 48, 49, 100, 248, 1000, 5000]);
}

#[test]
fn longest_multi_page_requests_and_responses_fit() {
    the_longest_have_room(&[70_000]);
}

fn the_longest_have_room(sizes: &[u64]) {
    let (_test, name) = start("many_clients-longest");
    for (max, in_flight) in sizes
        .iter()
        .flat_map(|max| [1, 2, 8, 64].map(|n| (*max, n)))
    {
        let options = Server::options().max_message(max).in_flight(in_flight);
        let options = options.clients(2).prefault(max == 100);
        let mut server = options.create(&*name).unwrap();
        let mut clients = [0, 1].map(|_| Client::open(&*name).unwrap());
        // A ring is a few times as long as the messages of one lap.
        for lap in 0..24u64 {
            let len = match lap % 6 {
                // Another length, so that records begin at each place in the ring.
                5 => (lap * 37 % (max + 1)) as usize,
                _ => max as usize,
            };
            let byte = |who: usize, n: usize| (lap as usize * 7 + who * 3 + n) as u8;
            let calls: Vec<Vec<Call>> = (0..2)
                .map(|who| {
                    let client = &mut clients[who];
                    let send = |n| client.try_send(&vec![byte(who, n); len]).unwrap();
                    let calls = (0..in_flight).map(send).collect();
                    assert_eq!(why(client.try_send(b"")), "Full");
                    calls
                })
                .collect();
            let mut taken: Vec<_> = (0..2 * in_flight).map(|_| kept(&mut server)).collect();
            assert_eq!(why(server.try_recv()), "Empty");
            if lap % 2 == 1 {
                taken.reverse();
            }
            for (responder, request) in taken {
                let answer: Vec<u8> = request.iter().map(|byte| !byte).collect();
                responder.respond(&answer).unwrap();
            }
            if lap % 4 == 3 {
                // No response of this lap is received.
                drop(calls);
                continue;
            }
            for (who, n) in (0..2).flat_map(|who| (0..in_flight).map(move |n| (who, n))) {
                let came = clients[who].try_recv(&calls[who][n]).unwrap();
                assert_eq!(came, vec![!byte(who, n); len]);
            }
        }
    }
}
