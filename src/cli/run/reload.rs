//! The rules file while the service runs: read again when it changed, at SIGHUP
//! and when the API asks. All of it is taken up, or nothing.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::try_join_all;
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, watch};

use super::connect::{channels, connect, heartbeat};
use super::looks::{Looks, TRY_AGAIN_AFTER};
use crate::clock::Clock;
use crate::config::{self, Config, ConfigError, Mistake, SourceConfig};
use crate::domain::policy::{Policy, SourcePolicy};
use crate::metrics::Metrics;
use crate::pipeline::InForce;
use crate::service::{NewRules, Service};
use crate::source::everflow::Everflow;
use crate::web::{Refusal, ReloadRequest, Reloaded, Reloads};

/// The file behind the rules in force.
pub struct RulesFile {
    path: PathBuf,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// What is in force, by which a changed source is told from one that goes on.
    policies: Vec<SourcePolicy>,
    sources: Vec<SourceConfig>,
    requests: mpsc::Receiver<ReloadRequest>,
    refused: watch::Sender<Option<Arc<Refusal>>>,
    looks: Looks,
}

impl RulesFile {
    /// `config` is what it holds and what the service begins with.
    pub fn new(
        path: PathBuf,
        config: &Config,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> (RulesFile, Reloads) {
        let (sender, requests) = mpsc::channel(1);
        let (refused, refusal) = watch::channel(None);
        let looks = Looks::new(path.clone(), config.hash);
        let file = RulesFile {
            path,
            clock,
            metrics,
            policies: config.policy.sources.clone(),
            sources: config.sources.clone(),
            requests,
            refused,
            looks,
        };
        file.note_good();
        (file, Reloads { requests: Some(sender), refused: refusal })
    }

    /// Takes up every change for as long as the service lives; names the part of it
    /// that ended.
    pub async fn follow(&mut self, mut hangup: Signal, service: &mut Service) -> &'static str {
        loop {
            let request = tokio::select! {
                part = service.broken() => return part,
                _ = hangup.recv() => None,
                Some(request) = self.requests.recv() => Some(request),
                () = self.looks.changed() => None,
            };
            let outcome = self.reload(service).await;
            if let Some(request) = request {
                request.send(outcome).ok();
            }
        }
    }

    async fn reload(&mut self, service: &mut Service) -> Result<Reloaded, Arc<Refusal>> {
        let outcome = self.take_up(service).await;
        let file = self.path.display();
        match &outcome {
            Ok(reloaded) => {
                for warning in &reloaded.warnings {
                    tracing::warn!("{file}:{warning}");
                }
                tracing::info!(rules = %file, "the rules file was read again and is in force");
                self.note_good();
            }
            Err(refusal) => {
                for mistake in &refusal.mistakes {
                    tracing::error!("{file}:{mistake}");
                }
                tracing::error!(rules = %file, "the rules file was not taken up, the rules before stay in force: {}", refusal.summary);
                self.metrics.config_last_reload_successful.set(0);
                self.refused.send_replace(Some(refusal.clone()));
                self.looks.again_after = (!refusal.is_files_fault).then_some(TRY_AGAIN_AFTER);
            }
        }
        outcome
    }

    fn note_good(&self) {
        self.metrics.config_last_reload_successful.set(1);
        self.metrics.config_last_reload_timestamp_seconds.set(self.clock.now().0);
        self.refused.send_replace(None);
    }

    async fn take_up(&mut self, service: &mut Service) -> Result<Reloaded, Arc<Refusal>> {
        let (config, warnings) = self.read().await?;
        let channels = channels(&config.receivers).map_err(|why| self.refusal(&why, true))?;
        let heartbeat = heartbeat(config.heartbeat.as_ref());
        let heartbeat = heartbeat.map_err(|why| self.refusal(&why, true))?;
        let changed = self.connect_changed(&config).await.map_err(|why| self.refusal(&why, true));
        let Config { policy, sources, access, hash, .. } = config;
        let policies = policy.sources.clone();
        let rules = InForce { policy: Arc::new(policy), hash };
        let new = NewRules { rules, sources: changed?, channels, heartbeat, access };
        service.reload(new).await.map_err(|why| self.refusal(&why, false))?;
        (self.policies, self.sources) = (policies, sources);
        Ok(Reloaded { config_hash: hash, warnings })
    }

    /// What the file says now, and the warnings.
    async fn read(&mut self) -> Result<(Config, Vec<Mistake>), Arc<Refusal>> {
        let path = self.path.clone();
        let load = move || {
            let text = config::read(&path)?;
            Ok((config::hash(&text), config::parse_beside(&text, &path)))
        };
        let read = tokio::task::spawn_blocking(load).await;
        let read = read.map_err(|error| self.refusal(&error.to_string(), false))?;
        let (hash, parsed) = match read {
            Ok(read) => read,
            Err(error) => {
                self.looks.tried = None;
                let error: ConfigError = error;
                return Err(self.refusal(&error.to_string(), true));
            }
        };
        self.looks.tried = Some(hash);
        match parsed {
            (Some(config), report) => Ok((config, report.warnings)),
            (None, report) => {
                let count = report.mistakes.len();
                let s = if count == 1 { "" } else { "s" };
                let refusal = self.refusal(&format!("It has {count} mistake{s}."), true);
                Err(Arc::new(Refusal { mistakes: report.mistakes, ..(*refusal).clone() }))
            }
        }
    }

    /// A client for each source that is new, or that is asked otherwise than before.
    async fn connect_changed(
        &self,
        config: &Config,
    ) -> Result<Vec<(SourcePolicy, Everflow)>, String> {
        let Policy { sources: policies, .. } = &config.policy;
        let both = policies.iter().zip(&config.sources);
        let changed = both.filter(|(policy, source)| {
            !(self.policies.contains(policy) && self.sources.contains(source))
        });
        try_join_all(changed.map(async |(policy, source)| {
            let client = connect(source, self.clock, self.metrics.clone()).await?;
            Ok((policy.clone(), client))
        }))
        .await
    }

    fn refusal(&self, summary: &str, is_files_fault: bool) -> Arc<Refusal> {
        Arc::new(Refusal {
            at: self.clock.now(),
            file: self.path.display().to_string(),
            summary: summary.to_owned(),
            mistakes: Vec::new(),
            is_files_fault,
        })
    }
}
