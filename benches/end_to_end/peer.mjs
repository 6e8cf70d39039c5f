// The same job in Node, as one would write it with care: an export is read
// while it arrives, each delivery is known by (source, postback, conversion), kept
// in SQLite and counted in the Prometheus client once, and each 1,000 rows are on
// the disk before the next are read.
//
//     node peer.mjs BASE_URL API_KEY failure|success DATABASE
import { createRequire } from "node:module";

// ES modules look for packages beside themselves alone; these lie where .ci/bench-tools put them.
const require = createRequire(`${process.env.PEER_MODULES ?? import.meta.dirname}/`);
const Database = require("better-sqlite3");
const { Counter } = require("prom-client");
const { request } = require("undici");

const SOURCE = "acme";
const PAGE_ROWS = 1_000;
const LOOKBACK_MS = 72 * 3_600_000;
const LINE_END = 10;

const SCHEMA = `
CREATE TABLE deliveries (
    source TEXT NOT NULL, postback INTEGER NOT NULL, conversion TEXT NOT NULL,
    offer INTEGER NOT NULL, affiliate INTEGER NOT NULL, timestamp INTEGER NOT NULL,
    last_attempt INTEGER NOT NULL, failed_attempts INTEGER NOT NULL, reason TEXT NOT NULL,
    payload TEXT NOT NULL, debug_information TEXT NOT NULL,
    UNIQUE (source, postback, conversion)
)`;
const KEEP = "INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
// For a row that was seen before: what it tells replaces what is older.
const RENEW = `
UPDATE deliveries SET last_attempt = ?, failed_attempts = ?, reason = ?, payload = ?, debug_information = ?
WHERE source = ? AND postback = ? AND conversion = ? AND (last_attempt, failed_attempts) < (?, ?)`;
const PRAGMAS = [
    // Every commit is on the disk when it returns.
    "journal_mode = WAL",
    "synchronous = FULL",
    // Keys come in no order: their index in memory, and each of its pages written once for many commits.
    "cache_size = -64000",
    "wal_autocheckpoint = 10000",
];

const STATUS = /Status: ?(\d{3})/;
// The first that occurs decides; as many as tell the usual failures apart.
const WORDINGS = [
    ["dns", /no such host|server misbehaving|name resolution/],
    ["tls", /x509:|tls:|certificate/],
    ["refused", /connection refused|no route to host/],
    ["timeout", /deadline exceeded|timeout|timed out/],
    ["reset", /connection reset|broken pipe|EOF/],
];

function reasonOf(debugInformation) {
    const status = STATUS.exec(debugInformation);
    if (status) return `http_${status[1]}`;
    return WORDINGS.find(([, words]) => words.test(debugInformation))?.[0] ?? "other";
}

const failures = new Counter({
    name: "delivery_failures_total",
    help: "Deliveries that failed.",
    labelNames: ["source", "offer", "affiliate", "reason"],
});

function openStore(path) {
    const store = new Database(path);
    PRAGMAS.forEach((pragma) => store.pragma(pragma));
    store.exec(SCHEMA);
    return store;
}

function question(status) {
    const now = Date.now();
    const moment = (at) => new Date(at).toISOString().slice(0, 19).replace("T", " ");
    const filters = [{ resource_type: "delivery_status", filter_id_value: status }];
    const [from, to] = [moment(now - LOOKBACK_MS), moment(now)];
    return JSON.stringify({ timezone_id: 67, from, to, query: { filters }, format: "json" });
}

async function ask(baseUrl, key, status) {
    const { statusCode, body } = await request(`${baseUrl}/networks/reporting/affiliate/pixels/export`, {
        method: "POST",
        headers: { "x-eflow-api-key": key, "content-type": "application/json" },
        body: question(status),
    });
    if (statusCode !== 200) throw new Error(`the network answers ${statusCode}`);
    return body;
}

// The export's rows as texts, in pages, as they arrive.
async function* pages(body) {
    let page = [];
    let rest = Buffer.alloc(0);
    for await (const chunk of body) {
        const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
        let begins = 0;
        for (let end; (end = bytes.indexOf(LINE_END, begins)) >= 0; begins = end + 1) {
            page.push(bytes.toString("utf8", begins, end));
            if (page.length === PAGE_ROWS) {
                yield page;
                page = [];
            }
        }
        rest = bytes.subarray(begins);
    }
    if (rest.length > 0) page.push(rest.toString());
    if (page.length > 0) yield page;
}

// What a postback fired for: a click has a transaction alone.
function conversionOf(row) {
    return row.conversion_id || `${row.transaction_id}/${row.network_offer_payout_revenue_id}`;
}

// Keeps pages, each in one transaction; gives the rows of a page that were new.
function keeper(store) {
    const [insert, renew] = [store.prepare(KEEP), store.prepare(RENEW)];
    const isNew = (row) => {
        const key = [SOURCE, row.pixel_id, conversionOf(row)];
        const tries = [row.last_attempt, row.failed_attempts];
        const texts = [row.reason, row.payload, row.debug_information];
        const place = [row.network_offer_id, row.affiliate_id, row.timestamp];
        const { changes } = insert.run(...key, ...place, ...tries, ...texts);
        if (changes === 0) renew.run(...tries, ...texts, ...key, ...tries);
        return changes === 1;
    };
    return store.transaction((page) => {
        const rows = page.map((text) => JSON.parse(text));
        for (const row of rows) row.reason = reasonOf(row.debug_information);
        return rows.filter(isNew);
    });
}

const [baseUrl, key, status, path] = process.argv.slice(2);
const store = openStore(path);
const keepPage = keeper(store);
let rows = 0;
for await (const page of pages(await ask(baseUrl, key, status))) {
    rows += page.length;
    for (const row of keepPage(page)) {
        failures.inc({ source: SOURCE, offer: row.network_offer_id, affiliate: row.affiliate_id, reason: row.reason });
    }
}
const kept = store.prepare("SELECT count(*) FROM deliveries").pluck().get();
store.close();
const { values } = await failures.get();
const counted = values.reduce((sum, { value }) => sum + value, 0);
console.log(JSON.stringify({ rows, kept, counted }));
