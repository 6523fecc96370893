// The types as `require` finds them.
import seawall = require('seawall');
import fetching = require('seawall/fetch');
import testing = require('seawall/testing');
import undici = require('seawall/undici');

const guard: seawall.Policy<null> = seawall.policy('shop', seawall.fallback(null), seawall.retry());
const charge = guard(async (cents: number): Promise<number> => cents);
const charged: Promise<number | null> = charge(7);
const surely: Promise<number> = charge(7); // error
void charge('7'); // error
const guarded: typeof fetch = fetching.guardFetch(seawall.retry());
const intercept = undici.interceptor(seawall.retry());
testing.reset();
export = { charged, guarded, intercept, surely };
