//! The world around a client or a server, and what these do.

use crate::ptrace::perform;
use crate::walk::*;
use shmkit::ErrorKind::NotFound;
use shmkit::{CallError, Client, Server, ServerOptions};
use std::thread::JoinHandle;

const OTHER: u64 = 1000;
const LATER: u64 = 2000;
/// The server ends after the request of this number.
const LAST: u64 = 3000;
/// The difference between the number of a response and that of its request.
const ANSWER: u64 = 1 << 32;

pub fn options() -> ServerOptions {
    Server::options().max_message(100).in_flight(2).clients(2)
}

fn answer(server: &mut Server) -> u64 {
    let request = server.recv_timeout(LONG).unwrap();
    let n = number(request.bytes());
    request.respond(&message(n + ANSWER, 40)).unwrap();
    n
}

fn ask(client: &mut Client, n: u64) -> Result<(), CallError> {
    let response = client.call_timeout(&message(n, 48), LONG)?;
    assert_eq!(number(response), n + ANSWER);
    Ok(())
}

pub fn client(act: &str, name: &str) {
    let open = || Client::open(name).unwrap();
    match act {
        "open" => perform(|| (), open),
        "call" => {
            let mut client = open();
            ask(&mut client, 0).unwrap();
            perform(|| (), || ask(&mut client, 1).unwrap());
        }
        "close" => {
            let mut client = open();
            ask(&mut client, 0).unwrap();
            perform(|| (), || drop(client));
        }
        other => panic!("no {other}"),
    }
}

pub fn server(act: &str, name: &str) {
    let create = || options().create(name).unwrap();
    match act {
        "create" | "take over" => perform(|| (), create),
        "answer two" => {
            let mut server = create();
            perform(|| (), || [(); 2].map(|()| answer(&mut server)));
        }
        "close" => {
            let server = create();
            perform(|| (), || drop(server));
        }
        other => panic!("no {other}"),
    }
}

/// Runs a server that answers all requests, and returns the numbers of the requests at the end.
fn serve(mut server: Server) -> JoinHandle<Vec<u64>> {
    std::thread::spawn(move || {
        let mut asked = Vec::new();
        while asked.last() != Some(&LAST) {
            asked.push(answer(&mut server));
        }
        asked
    })
}

/// The world of a client: the server, and another client.
struct ServerWorld {
    name: String,
    server: JoinHandle<Vec<u64>>,
    other: Client,
    before: u64,
    after: u64,
}

fn server_world(name: &str, before: u64, after: u64) -> Box<dyn World> {
    let server = serve(options().create(name).unwrap());
    let other = Client::open(name).unwrap();
    Box::new(ServerWorld {
        name: name.to_string(),
        server,
        other,
        before,
        after,
    })
}

impl World for ServerWorld {
    fn ready(&mut self) {
        eventually("it sleeps", || {
            shmkit::inspect::segment_info(&*self.name)
                .unwrap()
                .owner
                .asleep
        });
    }

    fn survive(mut self: Box<Self>) -> u64 {
        ask(&mut self.other, OTHER).unwrap();
        // The only free slot is that of the dead client. The new client gets no response of the
        // dead one.
        let mut next = Client::open(&*self.name).unwrap();
        (LATER..LATER + 5).for_each(|n| ask(&mut next, n).unwrap());
        ask(&mut next, LAST).unwrap();
        let asked = self.server.join().unwrap();
        let of = |from| {
            let all = asked.iter().copied();
            all.filter(|n| n / 1000 * 1000 == from)
                .collect::<Vec<u64>>()
        };
        assert_eq!(in_order(&of(OTHER), OTHER), OTHER + 1);
        assert_eq!(in_order(&of(LATER), LATER), LATER + 5);
        let asked = in_order(&of(0), 0);
        assert!((self.before..=self.after).contains(&asked), "{asked}");
        // The server may leave out a request from right before the death. A later kill may so have
        // a smaller count, and the count is not compared.
        0
    }
}

/// The world of a server: two clients that wait for a response.
struct Clients {
    name: String,
    threads: Vec<JoinHandle<(Client, bool)>>,
    answered: u64,
}

fn clients(name: &str, answered: u64) -> Box<dyn World> {
    Box::new(Clients {
        name: name.to_string(),
        threads: Vec::new(),
        answered,
    })
}

impl World for Clients {
    fn ready(&mut self) {
        for n in [0, OTHER] {
            let mut client = Client::open(&*self.name).unwrap();
            self.threads.push(std::thread::spawn(move || {
                let was_answered = match ask(&mut client, n) {
                    Ok(()) => true,
                    Err(CallError::Disconnected(_)) => false,
                    Err(error) => panic!("{error}"),
                };
                (client, was_answered)
            }));
        }
        eventually("both sleep", || {
            let info = shmkit::inspect::segment_info(&*self.name).unwrap();
            info.others.unwrap().iter().filter(|who| who.asleep).count() == 2
        });
    }

    fn survive(mut self: Box<Self>) -> u64 {
        let threads = self.threads.drain(..);
        let clients: Vec<_> = threads.map(|one| one.join().unwrap()).collect();
        let answered = clients.iter().filter(|(_, answered)| *answered).count() as u64;
        assert!(answered <= self.answered, "{answered}");
        let clients: Vec<Client> = clients.into_iter().map(|(client, _)| client).collect();
        goes_on(&self.name, clients);
        answered
    }
}

/// Checks that the next server answers the attached clients and a new one.
fn goes_on(name: &str, mut clients: Vec<Client>) {
    let server = serve(options().clients(3).create(name).unwrap());
    let mut asked = Vec::new();
    for (n, client) in (LATER..).zip(&mut clients) {
        // The client may not have noticed yet that the server before has ended.
        if let Err(error) = ask(client, n) {
            assert!(matches!(error, CallError::Disconnected(_)), "{error}");
            assert!(client.wait_for_server(LONG).unwrap());
            ask(client, n).unwrap();
        }
        asked.push(n);
    }
    let mut new = Client::open(name).unwrap();
    ask(&mut new, LAST).unwrap();
    asked.push(LAST);
    // Requests to the server before, answered or not, are not repeated.
    assert_eq!(server.join().unwrap(), asked);
}

/// The world of a first server: there is no other participant yet.
struct Nobody(String);

fn nobody(name: &str) -> Box<dyn World> {
    Box::new(Nobody(name.to_string()))
}

impl World for Nobody {
    fn survive(self: Box<Self>) -> u64 {
        let absent = Client::open(&*self.0).unwrap_err();
        assert_eq!(absent.kind(), NotFound, "{absent}");
        goes_on(&self.0, Vec::new());
        0
    }
}

/// The world of the next server: the first server is dead, and two clients have called it.
struct Heir {
    name: String,
    clients: Vec<Client>,
}

fn heir(name: &str) -> Box<dyn World> {
    let mut clients = Vec::new();
    dead_owner("calls", name, || {
        for _ in 0..2 {
            let mut client = Client::open(name).unwrap();
            drop(client.send(&message(0, 48)).unwrap());
            clients.push(client);
        }
    });
    Box::new(Heir {
        name: name.to_string(),
        clients,
    })
}

impl World for Heir {
    fn survive(self: Box<Self>) -> u64 {
        goes_on(&self.name, self.clients);
        0
    }
}

#[test]
fn client_killed_anywhere_never_blocks_server() {
    in_all_places("client: call", |name| server_world(name, 1, 2));
    in_all_places("client: open", |name| server_world(name, 0, 0));
    in_all_places("client: close", |name| server_world(name, 1, 1));
}

#[test]
fn server_death_ends_calls_and_frees_name() {
    in_all_places("server: answer two", |name| clients(name, 2));
    in_all_places("server: create", nobody);
    in_all_places("server: take over", heir);
    in_all_places("server: close", |name| clients(name, 0));
}
