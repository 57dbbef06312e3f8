//! Requests to servers: redirects, the token, and retries.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::config::Token;
use crate::error::{Error, shown};
use crate::http;
use crate::safe;
use crate::transport::{Request, Response, Transport};
use crate::url::Url;

const MAX_REDIRECTS: usize = 8;
/// The longest wait that a server may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(120);

/// How often and after which pauses to try again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Number of attempts without a new byte before giving up. The default is 6.
    pub attempts: u32,
    /// Pause after the first failure. It doubles each time, with some randomness. The default is 500 ms.
    pub first: Duration,
    /// The longest pause. The default is 30 s.
    pub longest: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 6, first: Duration::from_millis(500), longest: Duration::from_secs(30) }
    }
}

impl RetryPolicy {
    /// Returns the pause after failure number `n`, from 1. It is between half and all of the doubled pause, so that many devices that
    /// lost a server at the same time do not return at the same time.
    pub(crate) fn pause(&self, n: u32, asked: Option<Duration>) -> Duration {
        if let Some(asked) = asked {
            return asked.min(MAX_RETRY_AFTER);
        }
        let doubled = self.first.saturating_mul(1u32.checked_shl(n.saturating_sub(1)).unwrap_or(u32::MAX));
        let most = doubled.min(self.longest);
        let chance = (RandomState::new().hash_one(n) >> 40) as u32 as f64 / f64::from(1u32 << 24);
        most.mul_f64(0.5 + chance / 2.0)
    }
}

/// The caller's cancel flag.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancel(pub(crate) Option<Arc<AtomicBool>>);

impl Cancel {
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.0.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Sleeps, unless the flag is set.
    pub(crate) fn sleep(&self, mut pause: Duration) -> Result<(), Error> {
        const STEP: Duration = Duration::from_millis(25);
        while !pause.is_zero() {
            self.check()?;
            let step = pause.min(STEP);
            std::thread::sleep(step);
            pause -= step;
        }
        self.check()
    }
}

/// Why a request failed, and whether another attempt may help.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Boxed, since an error is much larger than most answers.
    pub(crate) error: Box<Error>,
    pub(crate) retry: bool,
    /// How long the server asked to wait.
    pub(crate) after: Option<Duration>,
}

impl Failure {
    pub(crate) fn passing(error: Error) -> Self {
        Self { error: Box::new(error), retry: true, after: None }
    }

    pub(crate) fn lasting(error: Error) -> Self {
        Self { error: Box::new(error), retry: false, after: None }
    }
}

/// What the hub says about a file, in the answer that redirects to its bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Linked {
    pub(crate) commit: Option<String>,
    /// The SHA-256, without quotes.
    pub(crate) etag: Option<String>,
    pub(crate) size: Option<u64>,
}

/// An answer that is not a redirect, or a redirect to another host if only its metadata was wanted.
pub(crate) struct Answer {
    pub(crate) url: Url,
    pub(crate) response: Response,
    pub(crate) linked: Linked,
}

/// A transport, and the token with the host that may see it.
pub(crate) struct Client {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) endpoint: Url,
    pub(crate) token: Option<Token>,
}

impl Client {
    /// Sends a request and follows redirects. With `head`, a redirect to another host is not followed if the answer describes the file
    /// as the hub does: the host of the bytes knows less.
    pub(crate) fn exchange(
        &self,
        head: bool,
        url: &Url,
        headers: &[(&'static str, String)],
    ) -> Result<Answer, Failure> {
        let mut url = url.clone();
        let mut linked = Linked::default();
        // After a redirect has left the endpoint, the token is not sent any more.
        let mut trusted = true;
        for _ in 0..=MAX_REDIRECTS {
            trusted = trusted && url.same_origin(&self.endpoint);
            let mut headers = headers.to_vec();
            headers.push(("Accept-Encoding", "identity".to_owned()));
            if let Some(token) = self.token.as_ref().filter(|_| trusted) {
                headers.push(("Authorization", format!("Bearer {}", token.expose())));
            }
            let request = Request { head, url: url.full(), headers };
            let response = self.transport.send(&request).map_err(|error| {
                let retry = error.is_passing();
                let error = Box::new(Error::Transport { url: url.to_string(), error });
                Failure { error, retry, after: None }
            })?;
            if trusted {
                linked.take(&response);
            }
            if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(Answer { url, response, linked });
            }
            let wrong = |found: String| {
                let expected = "a Location".to_owned();
                Failure::lasting(Error::Protocol { url: url.to_string(), expected, found })
            };
            let location =
                response.headers.get("location").ok_or_else(|| wrong("a redirect without".into()))?;
            let next = url.join(location).map_err(|why| wrong(format!("`{}`: {why}", shown(location))))?;
            if url.is_https() && !next.is_https() {
                return Err(wrong("a redirect from https to http, which is refused".into()));
            }
            if head && !next.same_origin(&url) && linked.etag.is_some() && linked.size.is_some() {
                return Ok(Answer { url, response, linked });
            }
            url = next;
        }
        let (expected, found) = (format!("at most {MAX_REDIRECTS} redirects"), "more".to_owned());
        Err(Failure::lasting(Error::Protocol { url: url.to_string(), expected, found }))
    }

    /// Runs `request` until it succeeds, fails permanently, or has used up its attempts.
    pub(crate) fn retrying<T>(
        policy: &RetryPolicy,
        cancel: &Cancel,
        mut on_retry: impl FnMut(u32, Duration, &Error),
        mut request: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let mut n = 0;
        loop {
            cancel.check()?;
            let failure = match request() {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            n += 1;
            if !failure.retry || n >= policy.attempts {
                return Err(*failure.error);
            }
            let pause = policy.pause(n, failure.after);
            on_retry(n, pause, &failure.error);
            cancel.sleep(pause)?;
        }
    }
}

impl Linked {
    fn take(&mut self, response: &Response) {
        let get = |name| response.headers.get(name);
        if let Some(commit) = get("x-repo-commit").filter(|commit| safe::is_commit(commit)) {
            self.commit = Some(commit.to_owned());
        }
        if let Some(etag) = get("x-linked-etag").map(http::bare_etag).filter(|etag| safe::is_blob(etag)) {
            self.etag = Some(etag.to_owned());
        }
        if let Some(size) = get("x-linked-size").and_then(http::number) {
            self.size = Some(size);
        }
    }
}

impl Answer {
    /// Returns the answer if its status is one of `good`, otherwise an error.
    pub(crate) fn expect(self, good: &[u16]) -> Result<Self, Failure> {
        let status = self.response.status;
        if good.contains(&status) {
            return Ok(self);
        }
        let hint = match status {
            401 => ": a token is needed, or the repository does not exist (set HF_TOKEN)",
            403 => ": the token has no access; accept the model's license on its page",
            404 | 410 => ": no such repository, revision or file",
            429 => ": too many requests; wait, or set HF_TOKEN",
            _ => "",
        };
        let after = self.response.headers.get("retry-after").and_then(http::retry_after);
        let retry = matches!(status, 408 | 425 | 429 | 500..=599);
        let error = Error::Status { url: self.url.to_string(), status, hint };
        Err(Failure { error: Box::new(error), retry, after: after.map(Duration::from_secs) })
    }

    /// Returns the whole body, of at most `most` bytes.
    pub(crate) fn body(self, most: u64) -> Result<Vec<u8>, Failure> {
        let url = self.url.to_string();
        let mut bytes = Vec::new();
        let mut body = self.response.body.take(most + 1);
        // It grows by what arrives, never by what a header promises.
        let mut buffer = [0; 16 << 10];
        loop {
            let n = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(lost(&url, &error)),
            };
            let no_memory = |_| Failure::lasting(Error::OutOfMemory { what: format!("the answer of {url}") });
            bytes.try_reserve(n).map_err(no_memory)?;
            bytes.extend_from_slice(buffer.get(..n).unwrap_or_default());
        }
        if bytes.len() as u64 > most {
            let (expected, found) = (format!("at most {most} bytes"), "more".to_owned());
            return Err(Failure::lasting(Error::Protocol { url, expected, found }));
        }
        Ok(bytes)
    }
}

/// The failure of a connection that ended before the body.
pub(crate) fn lost(url: &str, error: &std::io::Error) -> Failure {
    let error = crate::transport::TransportError::passing(error.to_string());
    Failure::passing(Error::Transport { url: url.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let policy = RetryPolicy::default();
        for (n, most) in [(1, 500), (2, 1_000), (4, 4_000), (7, 30_000), (99, 30_000)] {
            let pause = policy.pause(n, None).as_millis();
            assert!((most / 2..=most).contains(&pause), "{n}: {pause} ms");
        }
        assert_eq!(policy.pause(1, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(policy.pause(1, Some(Duration::MAX)), MAX_RETRY_AFTER);
    }

    #[test]
    fn cancelling_ends_a_pause() {
        let flag = Arc::new(AtomicBool::new(true));
        assert!(matches!(Cancel(Some(flag)).sleep(Duration::MAX), Err(Error::Cancelled)));
        assert!(Cancel::default().sleep(Duration::from_millis(1)).is_ok());
    }

    /// Answers each request with the next status and headers of a list.
    struct Script(std::sync::Mutex<Vec<Answered>>, std::sync::Mutex<Vec<Request>>);

    type Answered = (u16, Vec<(&'static str, &'static str)>);

    impl Transport for Script {
        fn send(&self, request: &Request) -> Result<Response, crate::transport::TransportError> {
            self.1.lock().unwrap().push(request.clone());
            let (status, headers) = self.0.lock().unwrap().remove(0);
            Ok(Response { status, headers: headers.into_iter().collect(), body: Box::new(std::io::empty()) })
        }
    }

    /// Returns the last answer's status, and which requests had the token.
    fn follow(answers: Vec<Answered>) -> (Result<u16, String>, Vec<(String, bool)>) {
        let script = Arc::new(Script(answers.into(), Vec::new().into()));
        let endpoint = Url::parse("https://hub").unwrap();
        let client =
            Client { transport: script.clone(), endpoint: endpoint.clone(), token: Token::new("secret") };
        let status = client.exchange(false, &endpoint, &[]).map(|answer| answer.response.status);
        let has_token = |request: &Request| request.headers.iter().any(|(_, value)| value.contains("secret"));
        let asked = script.1.lock().unwrap().iter().map(|r| (r.url.clone(), has_token(r))).collect();
        (status.map_err(|failure| failure.error.to_string()), asked)
    }

    #[test]
    fn redirects_never_take_the_token_elsewhere() {
        let to = |location| (302, vec![("LOCATION", location)]);
        let (status, asked) =
            follow(vec![to("/b"), to("https://other/c"), to("https://hub/d"), (204, Vec::new())]);
        assert_eq!(status, Ok(204));
        let expected = [
            ("https://hub/", true),
            ("https://hub/b", true),
            ("https://other/c", false),
            ("https://hub/d", false),
        ];
        assert_eq!(asked, expected.map(|(url, token)| (url.to_owned(), token)));
        // Another port and another scheme are another host.
        assert_eq!(
            follow(vec![to("https://hub:444/"), (200, Vec::new())]).1[1],
            ("https://hub:444/".into(), false)
        );
        for location in ["http://hub/", "http://other/", "ftp://hub/", "//user:password@other/", ""] {
            let (status, asked) = follow(vec![to(location), (200, Vec::new())]);
            assert_eq!(
                (status.is_err(), asked.len()),
                (!location.is_empty(), 1 + usize::from(location.is_empty())),
                "{location}"
            );
        }
        assert!(follow(vec![(301, Vec::new())]).0.is_err());
        assert!(follow(vec![to("/"); 20]).0.unwrap_err().contains("redirects"));
    }
}
