# Each recipe is a script in .ci/ or one command, so that CI and a developer run
# the same. Without `just`, run what stands below the name.

# List the recipes.
default:
    @just --list --unsorted

# What every change must pass: format, clippy, documentation, bans, tests.
check:
    .ci/check

# The tests alone.
test *args:
    cargo test {{ args }}

# Format, clippy, documentation, bans.
lint:
    .ci/lint

# The whole service against a simulated network.
demo *args:
    cargo run --release -- demo {{ args }}

# The simulated network alone.
simulate listen="127.0.0.1:9468" *args:
    cargo run --release -- simulate --listen {{ listen }} {{ args }}

# The release build before real servers: needs prometheus and promtool.
real:
    .ci/real

# What stands in deploy/, by its own tools, and the dashboard before a real Prometheus.
deploy:
    .ci/deploy-tools
    .ci/deploy
    .ci/dashboard

# The API by its own document: needs schemathesis.
api:
    .ci/deploy-tools
    .ci/api

# A hundred kills and ten power cuts.
faults:
    .ci/faults

# A thousand kills, a hundred power cuts, and the demo for a long time with an eye on its memory.
soak time="30m":
    .ci/soak {{ time }}

# What each part costs, in time: `just parts scrape` takes those whose names hold it.
parts *args:
    cargo bench --package parts -- {{ args }}

# The instructions of each part against benches/instructions.txt: needs valgrind.
instructions *args:
    .ci/instructions {{ args }}

# Advisories, licences, bans and duplicates: needs cargo-deny and the network.
deny:
    @command -v cargo-deny >/dev/null || { echo "first: cargo install cargo-deny --locked"; exit 1; }
    cargo deny check

# Our documentation, for reading the code along.
doc:
    cargo doc --no-deps --document-private-items --open

# The release build as a whole: `just bench --short startup` takes one experiment, small.
bench *args:
    .ci/bench {{ args }}
