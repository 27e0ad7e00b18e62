"""A lesson as plain text, in the textbook's sections and words."""

from collections.abc import Iterator

from cfmodel.gradients.lesson.braille_chart import Mark, axis_labels, draw_curve
from cfmodel.gradients.lesson.lesson_records import AdamStep, Curve, Lesson, Nudge

#: Numbers of an embedding that are printed.
_PRINTED = 3
_WIDTH = 60
#: Width of the labels of the sum.
_LABEL = 33


def lesson_sections(lesson: Lesson) -> Iterator[tuple[str, list[str]]]:
    """Yield the sections of a lesson, each as its title and its lines."""
    yield "The prediction is a sum", _prediction(lesson)
    yield "Testing parameter changes", [line for nudge in lesson.nudges for line in _nudge(lesson, nudge)]
    yield "The gradient is the slope", _slopes(lesson)
    yield "Gradient descent", _curve(lesson.curve, lesson.nudged)
    yield "Gradient update", _update(lesson)
    yield "The optimizer's role: what Adam does instead", _adam(lesson)
    yield "Gradient clipping", clipping_summary(lesson)


def _error_changed(nudge: Nudge) -> str:
    """Return the textbook's verdict on a nudge."""
    return "Error decreased!" if nudge.decreased else "Error increased!"


def adam_rows(lesson: Lesson) -> list[list[str]]:
    """Return Adam's steps as a table: a heading, then a row per quantity with a cell per bias."""
    steps = lesson.adam
    return [
        ["", *(f"{step.before.who} {step.before.id}" for step in steps)],
        ["ratings", *(f"{step.before.ratings:,}" for step in steps)],
        ["of them in the batch", *(f"{step.before.in_batch:,} of {step.before.batch_size:,}" for step in steps)],
        ["old_value", *(f"{step.before.value:+.6f}" for step in steps)],
        ["gradient", *(f"{step.gradient:+.3e}" for step in steps)],
        ["first moment, before", *(f"{step.before.first_moment:+.3e}" for step in steps)],
        ["first moment, after", *(f"{step.first_moment:+.3e}" for step in steps)],
        ["second moment, before", *(f"{step.before.second_moment:.3e}" for step in steps)],
        ["second moment, after", *(f"{step.second_moment:.3e}" for step in steps)],
        ["effective rate", *(f"{step.effective_rate:.4g}" for step in steps)],
        ["plain descent adds", *(f"{step.plain_change:+.3e}" for step in steps)],
        ["Adam adds", *(f"{step.change:+.3e}" for step in steps)],
        ["new_value", *(f"{step.new_value:+.6f}" for step in steps)],
    ]


def adam_summary(lesson: Lesson) -> list[str]:
    """Return the conclusions from the table of Adam's steps, as sentences."""
    popular, rare = (_of(lesson, who) for who in ("a popular movie", "a rare movie"))
    ratio = rare.effective_rate / popular.effective_rate
    why = ": a rare row has no gradient in most steps, which keeps its second moment small" if ratio > 1 else ""
    lines = [
        f"The effective rate, learning_rate / sqrt(second moment), of the rare movie's bias is {ratio:,.1f} times "
        f"that of the popular movie's{why}.",
        f"All rates here are for learning_rate = {lesson.update.learning_rate:g}; by the last update of the training "
        f"the schedule had lowered it to {lesson.last_learning_rate:.3g}.",
    ]
    clipped = [step for step in lesson.adam if step.coefficient < 1]
    if clipped:
        lines.append(f"Clipping multiplied the gradient of {len(clipped)} of these batches by less than 1.")
    return lines


def clipping_summary(lesson: Lesson) -> list[str]:
    """Return the effect of clipping, as sentences."""
    clip, update = lesson.clipping, lesson.update
    lines = [
        f"norm of this rating's gradient over all its rows = {clip.norm:.4f}, max_grad_norm = {clip.max_grad_norm:g}"
    ]
    if clip.coefficient < 1:
        lines += [
            f"The norm is above it: every gradient would be multiplied by {clip.coefficient:.4f}, "
            f"{lesson.nudged}'s from {update.gradient:+.6f} to {clip.gradient:+.6f}.",
            f"new_value = {clip.new_value:.6f} in place of {update.new_value:.6f}",
        ]
    else:
        lines.append("The norm is not above it: clipping would have changed nothing.")
    norms = ", ".join(f"{step.before.norm:.3f}" for step in lesson.adam)
    changed = sum(step.coefficient < 1 for step in lesson.adam)
    lines.append(
        f"In training a step averages over a batch, so that gradients partly cancel: the norms of the four batches "
        f"above are {norms}; clipping changes {changed} of them."
    )
    return lines


def vector(numbers: tuple[float, ...]) -> str:
    """Return an embedding as the textbook writes it: `[0.5, -0.2, 0.8, ...]  # 50 numbers`."""
    more = ", ..." if len(numbers) > _PRINTED else ""
    return f"[{', '.join(f'{number:.3f}' for number in numbers[:_PRINTED])}{more}]  # {len(numbers)} numbers"


def _of(lesson: Lesson, who: str) -> AdamStep:
    return next(step for step in lesson.adam if step.before.who == who)


def _prediction(lesson: Lesson) -> list[str]:
    parts = lesson.prediction
    width, digits = max(map(len, lesson.vectors), default=0), parts.scale.decimals
    spread = f"{parts.scale.std:.{digits}f}"
    # A term in standard deviations, and behind it what it adds in rating units.
    labels = {name: f"{name:<{_LABEL}}{term:+8.4f} * {spread} =" for name, term in parts.terms.items()}
    indent = _LABEL + 8 + len(f" * {spread} =")
    sums = [
        (f"{'global_mean':<{indent}}", parts.scale.mean),
        *((labels[name], parts.scale.std * term) for name, term in parts.terms.items()),
        (f"{'prediction':<{indent - 2}} =", parts.prediction),
        (f"{'actual_rating':<{indent}}", parts.rating),
        (f"{'error = actual_rating - prediction':<{indent - 2}} =", parts.error),
    ]
    numbers = [f"{value:+.{digits}f}" for _, value in sums]
    return [
        *(f"{name:<{width}} = {vector(row)}" for name, row in lesson.vectors.items()),
        "",
        f"The tables learn (rating - global_mean) / {spread}: standard deviations.",
        f"A term times {spread} is in rating units.",
        "",
        *(f"{label} {number:>{max(map(len, numbers))}}" for (label, _), number in zip(sums, numbers, strict=True)),
        *_start(lesson),
    ]


def _start(lesson: Lesson) -> list[str]:
    values = " and ".join(f"{name} {value:+.4f}" for name, value in lesson.start.items())
    if not values:
        return []
    first = values.replace(" ", " was ", 1)
    return ["", f"Before the first step {first}: the best biases without embeddings, in closed form."]


def _nudge(lesson: Lesson, nudge: Nudge) -> list[str]:
    parts, old = lesson.prediction, lesson.update.old_value
    digits = parts.scale.decimals
    rest, spread = parts.prediction - parts.scale.std * old, f"{parts.scale.std:.{digits}f}"
    verb, sign = ("Increase", "+") if nudge.change > 0 else ("Decrease", "-")
    changed = f"({old:.4f} {sign} {abs(nudge.change):g}) * {spread}"
    return [
        f"{verb} {lesson.nudged} by {abs(nudge.change):g}:",
        f"  new_prediction = {changed} + {rest:.{digits}f} = {nudge.new_prediction:.{digits}f}",
        f"  new_error      = {parts.rating:.{digits}f} - {nudge.new_prediction:.{digits}f} = "
        f"{nudge.new_error:+.{digits}f}  # {_error_changed(nudge)}",
    ]


def _slopes(lesson: Lesson) -> list[str]:
    rows = [f"{'parameter':<22}{'value':>10}{'finite difference':>20}{'autograd':>14}"]
    rows += [
        f"{slope.name:<22}{slope.value:>+10.4f}{slope.finite_difference:>+20.8f}{slope.gradient:>+14.8f}"
        for slope in lesson.slopes
    ]
    uphill = "up" if lesson.update.gradient > 0 else "down"
    return [
        *rows,
        "",
        f"Along {lesson.nudged} the loss goes {uphill} to the right: descent goes to the "
        f"{'left' if uphill == 'up' else 'right'}.",
    ]


def _curve(curve: Curve, name: str) -> list[str]:
    marks = [Mark(curve.lowest.value, curve.lowest.loss, "▾")]
    marks += [Mark(place.value, place.loss, "○") for place in reversed(curve.descents)]
    marks.append(Mark(curve.here.value, curve.here.loss, "●"))
    lines = draw_curve(curve.values, curve.losses, marks=marks, width=_WIDTH)
    left, right = curve.values[0], curve.values[-1]
    labels = [(place, f"{place:.3f}") for place in (left, curve.here.value, curve.lowest.value, right)]
    bottom = axis_labels(labels, margin=len(lines[0]) - _WIDTH, width=_WIDTH, left=left, right=right)
    steps = [
        f"○ after {place.steps:,} step{'s' if place.steps > 1 else ''} of descent: {name} = {place.value:.6f}, "
        f"loss = {place.loss:.6f}"
        for place in curve.descents
    ]
    return [
        "loss of this rating, as a share of the ratings' variance",
        *lines,
        bottom,
        f"{name:^{len(lines[0])}}".rstrip(),
        f"● You are here: {name} = {curve.here.value:.6f}, loss = {curve.here.loss:.6f}",
        *steps,
        f"▾ lowest: {name} = {curve.lowest.value:.6f}, loss = {curve.lowest.loss:.6f}; the error is nearly "
        "zero there, and the rest of the loss is the penalty, which pulls to zero",
    ]


def _update(lesson: Lesson) -> list[str]:
    update = lesson.update
    return [
        "new_value = old_value - (learning_rate * gradient)",
        f"          = {update.old_value:.6f} - ({update.learning_rate:g} * {update.gradient:+.6f})",
        f"          = {update.new_value:.6f}",
    ]


def _adam(lesson: Lesson) -> list[str]:
    rows = adam_rows(lesson)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = [_aligned(row, widths) for row in rows]
    return [
        "The next step of training for each of these biases, in its own batch:",
        "",
        *table,
        "",
        *adam_summary(lesson),
    ]


def _aligned(row: list[str], widths: list[int]) -> str:
    """Return a row of cells, the first left-aligned and the others right-aligned."""
    first, *others = zip(row, widths, strict=True)
    return "  ".join((first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)))
