"""Segment tables as their authors print them, to prove the prover on. Digits are R, F, M, the best is highest."""

from scoring.schemes import Grid, Rule

RFM3 = Grid(("r", "f", "m"), 1, 3)
RFM4 = Grid(("r", "f", "m"), 1, 4)
RFM5 = Grid(("r", "f", "m"), 1, 5)
RF5 = Grid(("r", "f"), 1, 5)
R_FM_FROM_0 = Grid(("r", "fm"), 0, 5)
R_FM_FROM_1 = Grid(("r", "fm"), 1, 5)


def _lists(table: dict[str, str]) -> dict[str, tuple[str, ...]]:
    return {segment: tuple(codes.split()) for segment, codes in table.items()}


CUSTOMER360 = _lists(
    {
        "champion": "444 443 434 344",
        "loyal": "442 441 432 431 433 343 342 341",
        "potential": "424 423 324 323 413 414 343 334",
        "promising": "333 332 331 313",
        "new": "422 421 412 411 311 321 312 314 322",
        "attention_needed": "244 234 243 233 224 214 213 134 144 143 133 123 124 114",
        "at_risk": "223 221 222 211 212 124 131 132 141 142 122",
        "price_sensitive": "231 232 241 242 131 141",
        "lost": "111 112 113 121",
    }
)

KLAVIYO = _lists(
    {
        "champions": "333 332 323",
        "loyal": "321 322 331 232 233",
        "recent": "312 313 311 222 223",
        "needs_attention": "213 221 123 132 133",
        "at_risk": "231 212 122 131 211",
        "inactive": "111 112 113 121",
    }
)

SQUEEZELY = _lists(
    {
        "champions": "555 554 544 545 454 455 445",
        "loyal": "543 444 435 355 354 345 344 335",
        "potential_loyalist": "553 551 552 541 542 533 532 531 452 451 442 441 431 453 433 432 423 353 352 351 "
        "342 341 333 323",
        "new": "512 511 422 421 412 411 311",
        "promising": "525 524 523 522 521 515 514 513 425 424 413 414 415 315 314 313",
        "need_attention": "535 534 443 434 343 334 325 324",
        "about_to_sleep": "331 321 312 221 213 231 241 251",
        "at_risk": "255 254 245 244 253 252 243 242 235 234 225 224 153 152 145 143 142 135 134 133 125 124",
        "cannot_lose": "155 154 144 214 215 115 114 113",
        "hibernating": "332 322 233 232 223 222 132 123 122 212 211",
        "lost": "111 112 121 131 141 151",
    }
)

PYMC_MARKETING = _lists(
    {
        "premium": "334 443 444 344 434 433 343 333",
        "repeat": "244 234 232 332 143 233 243",
        "top_spender": "424 414 144 314 324 124 224 423 413 133 323 313 134",
        "at_risk": "422 223 212 122 222 132 322 312 412 123 214",
        "inactive": "411 111 113 114 112 211 311",
    }
)
PYMC_MARKETING_OTHER = _lists({"other": "121 131 141 142 213 221 231 241 242 321 331 341 342 421 431 432 441 442"})[
    "other"
]

RF_REGEX = [
    Rule("hibernating", ranges={"r": (1, 2), "f": (1, 2)}),
    Rule("at_risk", ranges={"r": (1, 2), "f": (3, 4)}),
    Rule("cannot_lose", ranges={"r": (1, 2), "f": (5, 5)}),
    Rule("about_to_sleep", ranges={"r": (3, 3), "f": (1, 2)}),
    Rule("need_attention", codes=("33",)),
    Rule("loyal", ranges={"r": (3, 4), "f": (4, 5)}),
    Rule("promising", codes=("41",)),
    Rule("new", codes=("51",)),
    Rule("potential_loyalist", ranges={"r": (4, 5), "f": (2, 3)}),
    Rule("champions", ranges={"r": (5, 5), "f": (4, 5)}),
]

PUTLER = [
    Rule(segment, ranges={"r": r, "fm": fm})
    for segment, r, fm in [
        ("champions", (4, 5), (4, 5)),
        ("loyal", (2, 5), (3, 5)),
        ("potential_loyalist", (3, 5), (1, 3)),
        ("recent", (4, 5), (0, 1)),
        ("promising", (3, 4), (0, 1)),
        ("needing_attention", (2, 3), (2, 3)),
        ("about_to_sleep", (2, 3), (0, 2)),
        ("at_risk", (0, 2), (2, 5)),
        ("cannot_lose", (0, 1), (4, 5)),
        ("hibernating", (1, 2), (1, 2)),
        ("lost", (0, 2), (0, 2)),
    ]
]


def _ranges(table: dict[str, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]]) -> list[Rule]:
    return [Rule(segment, ranges=dict(zip("rfm", bounds, strict=True))) for segment, bounds in table.items()]


R_PACKAGE_0_2 = _ranges(
    {
        "champions": ((4, 5), (4, 5), (4, 5)),
        "loyal": ((2, 5), (3, 5), (3, 5)),
        "potential_loyalist": ((3, 5), (1, 3), (1, 3)),
        "new": ((4, 5), (1, 1), (1, 1)),
        "promising": ((3, 4), (1, 1), (1, 1)),
        "need_attention": ((2, 3), (2, 3), (2, 3)),
        "about_to_sleep": ((2, 3), (1, 2), (1, 2)),
        "at_risk": ((1, 2), (2, 5), (2, 5)),
        "cannot_lose": ((1, 1), (4, 5), (4, 5)),
        "lost": ((1, 2), (1, 2), (1, 2)),
    }
)
R_PACKAGE_0_3 = _ranges(
    {
        "champions": ((5, 5), (5, 5), (5, 5)),
        "potential_loyalist": ((3, 5), (3, 5), (2, 5)),
        "loyal": ((2, 4), (2, 4), (2, 4)),
        "promising": ((3, 4), (1, 3), (3, 5)),
        "new": ((4, 5), (1, 3), (1, 5)),
        "cannot_lose": ((1, 2), (3, 4), (4, 5)),
        "at_risk": ((1, 2), (2, 5), (4, 5)),
        "need_attention": ((1, 3), (3, 5), (3, 5)),
        "about_to_sleep": ((2, 3), (1, 3), (1, 4)),
        "lost": ((1, 1), (1, 5), (1, 5)),
    }
)
R_PACKAGE_0_3_MISSING = ("215", "241", "251", "252", "341", "351", "441", "451", "541", "551")
