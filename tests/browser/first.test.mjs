// One half of the browser tests in one process, so that browser and servers are started once for all of them. The other
// half is `second.test.mjs`; both run at the same time.

import './controls.test.mjs';
import './keyboard.test.mjs';
import './csv.test.mjs';
import './facets.test.mjs';
import './sealed.test.mjs';
