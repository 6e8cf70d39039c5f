"""What grows with what: log-log plots beside a line of exact proportion, and how
much twice the size costs."""

import math

from lab import plot


def doubling(sizes, costs):
    """What the cost is multiplied by where the size doubles, between each two sizes: 2 is linear."""
    pairs = list(zip(sizes, costs))
    steps = zip(pairs, pairs[1:])
    return [(cost / less) ** (1 / math.log2(size / small)) for (small, less), (size, cost) in steps]


def twice(what, sizes, costs):
    """What doubling costs, as a line of text."""
    factors = ", ".join(f"{factor:.2f}" for factor in doubling(sizes, costs))
    return f"twice the {what}, CPU ×: {factors or 'not known from one size'}"


def last_over_first(numbers, costs):
    """How much more each of the largest number costs than each of the smallest: 1 is linear."""
    each = [cost / number for number, cost in zip(numbers, costs)]
    return each[-1] / each[0]


def growth(name, title, x, y, sizes, lines, limit=None):
    """target/bench/NAME.svg: `lines` are Spreads by name, one for each of `sizes`.

    Beside each stands a dotted line through its last point that is exactly
    proportional: a line that rises more steeply than it grows faster than its
    size. `limit` is a name and the height of what was promised.
    """
    with plot(name, title, x, y) as axes:
        for label, spreads in lines.items():
            medians = [spread.median for spread in spreads]
            errors = [
                [spread.median - spread.low for spread in spreads],
                [spread.high - spread.median for spread in spreads],
            ]
            drawn = axes.errorbar(sizes, medians, errors, marker="o", capsize=3, label=label)
            linear = [medians[-1] * size / sizes[-1] for size in sizes]
            axes.plot(sizes, linear, ":", color=drawn[0].get_color(), alpha=0.7)
        axes.plot([], [], ":", color="gray", label="exactly proportional")
        if limit:
            axes.axhline(limit[1], color="firebrick", linewidth=1, linestyle="--", label=limit[0])
        logarithmic(axes, sizes)


def logarithmic(axes, sizes):
    """Both scales, a mark for each size, and a legend."""
    axes.loglog()
    axes.set_xticks(sizes, [short(size) for size in sizes])
    axes.minorticks_off()
    # 1, 2, 5, 10 …: some of them lie within any range.
    axes.yaxis.get_major_locator().set_params(subs=(1, 2, 5))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.grid(alpha=0.3)
    # Below: lines go everywhere.
    axes.legend(fontsize=9, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.15), ncols=2)


def short(number):
    """`10 k`, `5 M`."""
    for unit, text in ((1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:g} {text}"
    return f"{number:g}"
