// Every browser test in one process, so that browser and servers are started once.

import './controls.test.mjs';
import './keyboard.test.mjs';
import './history.test.mjs';
import './live.test.mjs';
import './verify.test.mjs';
import './facets.test.mjs';
import './csv.test.mjs';
import './zones.test.mjs';
import './hostile.test.mjs';
import './looks.test.mjs';
