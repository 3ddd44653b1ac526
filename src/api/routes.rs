//! Routes, each in one line with what it asks of its caller: the router and the guard's table are made of the same list.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, on};

use super::access::{Need, Rule};

/// The routes of one router.
pub struct Routes<S> {
    router: Router<S>,
    rules: Vec<Rule>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// None yet.
    #[expect(clippy::new_without_default, reason = "a list of routes is written down, never a default of something")]
    pub fn new() -> Routes<S> {
        Routes { router: Router::new(), rules: Vec::new() }
    }

    /// `GET`, and with it `HEAD`.
    pub fn get<T: 'static>(self, route: &'static str, need: Need, handler: impl Handler<T, S>) -> Routes<S> {
        self.with(Method::GET, MethodFilter::GET, route, need, handler)
    }

    /// `POST`
    pub fn post<T: 'static>(self, route: &'static str, need: Need, handler: impl Handler<T, S>) -> Routes<S> {
        self.with(Method::POST, MethodFilter::POST, route, need, handler)
    }

    /// `DELETE`
    pub fn delete<T: 'static>(self, route: &'static str, need: Need, handler: impl Handler<T, S>) -> Routes<S> {
        self.with(Method::DELETE, MethodFilter::DELETE, route, need, handler)
    }

    fn with<T: 'static>(
        mut self,
        method: Method,
        filter: MethodFilter,
        route: &'static str,
        need: Need,
        handler: impl Handler<T, S>,
    ) -> Routes<S> {
        self.rules.push((method, route, need));
        Routes { router: self.router.route(route, on(filter, handler)), rules: self.rules }
    }

    /// What each route asks of its caller.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The router, still without its guard, and the table for it.
    pub fn into_parts(self) -> (Router<S>, Arc<[Rule]>) {
        (self.router, self.rules.into())
    }
}
