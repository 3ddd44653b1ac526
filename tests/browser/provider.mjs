// A real provider of identities (npm's oidc-provider) in this process, with a sign-in page of two clicks: who, or no.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';

import { Provider } from 'oidc-provider';

export const CLIENT = 'annals';
export const SECRET = 'a secret: with &odd% letters';

/** Who has an account, and what the provider says of them. Their names are not in the token: they have to be asked for. */
export const PEOPLE = {
  u_maya: { name: 'Maya Lindqvist', email: 'maya@example.com', email_verified: true, groups: { annals: ['other', 'auditor'] } },
  u_sam: { name: 'Sam <b>Whitlock', email: 'sam@example.com', email_verified: false, groups: { annals: 'reader' } },
  u_eve: { name: 'Eve Stranger', email: 'eve@example.com', email_verified: true, groups: { annals: ['other'] } },
};

/** The settings of Annals for a provider. */
export const settings = (issuer, secretFile) => `
[oidc]
issuer = "${issuer}"
client_id = "${CLIENT}"
client_secret_file = "${secretFile}"
name = "Example & Co"
roles_claim = "groups.annals"
[[oidc.roles]]
value = "auditor"
scopes = ["read", "export"]
[[oidc.roles]]
value = "reader"
scopes = ["read"]
restriction = "action:auth"
`;

const page = (uid) => `<!doctype html><meta charset=utf-8><title>Example &amp; Co</title><h1>Who are you?</h1>
<form method=post action="/interaction/${uid}">
${Object.entries(PEOPLE).map(([id, { name }]) => `<button name=who value=${id}>${name.replace('<', '&lt;')}</button>`).join('\n')}
<button name=who value="">Nobody</button></form>`;

/** Listens; `serve` begins to answer, once it is known where browsers may be sent back to. */
export async function startProvider() {
  let answer = (request, response) => response.writeHead(503).end();
  const server = createServer((request, response) => answer(request, response));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const key = (type, options, more) => ({ ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), use: 'sig', ...more });
  return {
    issuer,
    serve(redirectUris, alg = 'RS256') {
      const provider = new Provider(issuer, {
        clients: [{ client_id: CLIENT, client_secret: SECRET, redirect_uris: redirectUris, id_token_signed_response_alg: alg }],
        jwks: { keys: [key('rsa', { modulusLength: 2048 }, { kid: 'r' }), key('ec', { namedCurve: 'P-256' }, { kid: 'e', alg: 'ES256' }), key('ed25519', {}, { kid: 'd', alg: 'EdDSA' })] },
        enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'] },
        claims: { openid: ['sub', 'groups'], profile: ['name'], email: ['email', 'email_verified'] },
        cookies: { keys: ['only for tests'] },
        features: { devInteractions: { enabled: false } },
        interactions: { url: (context, interaction) => `/interaction/${interaction.uid}` },
        pkce: { required: () => true },
        findAccount: (context, id) => PEOPLE[id] && { accountId: id, claims: () => ({ sub: id, ...PEOPLE[id] }) },
        async loadExistingGrant(context) {
          const grant = new context.oidc.provider.Grant({ clientId: CLIENT, accountId: context.oidc.session.accountId });
          grant.addOIDCScope('openid profile email');
          await grant.save();
          return grant;
        },
      });
      const callback = provider.callback();
      answer = async (request, response) => {
        const [, uid] = /^\/interaction\/([\w-]+)$/.exec(request.url) ?? [];
        if (request.url === '/favicon.ico') return response.writeHead(204).end();
        if (!uid) return callback(request, response);
        if (request.method === 'GET') return response.writeHead(200, { 'content-type': 'text/html' }).end(page(uid));
        let body = '';
        for await (const part of request) body += part;
        const who = new URLSearchParams(body).get('who');
        const result = who ? { login: { accountId: who } } : { error: 'access_denied', error_description: 'They would not say.' };
        return provider.interactionFinished(request, response, result);
      };
    },
    end: () => new Promise((resolve) => server.close(resolve).closeAllConnections()),
  };
}
