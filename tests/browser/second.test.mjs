// The other half of the browser tests; see `first.test.mjs`.

import './looks.test.mjs';
import './live.test.mjs';
import './history.test.mjs';
import './hostile.test.mjs';
import './zones.test.mjs';
import './verify.test.mjs';
import './oidc.test.mjs';
