"""Every setting of every stage: RECIPE makes the model, SMOKE shows that the program works.

Stages are measured in steps, not in minutes: a paused or starved run is the same run. The steps
below take about four and a half hours on two CPU cores.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Data:
    first: int = 0  # number of the first scene
    pictures: int = 40000
    captions: int = 4  # of each picture, with different words left out
    pairs: float = 0.45  # part of the scenes with two objects
    ordered: bool = False  # captions name the objects from left to right
    omit: float = 0.15  # part of the colours and places that a caption leaves out


@dataclass(frozen=True)
class Tokenizer:
    merges: int = 127  # with 512 byte tokens and 2 special ones: 641 entries


@dataclass(frozen=True)
class Latents:
    pictures: str = "data"  # the stage that drew them
    from_base: bool = False  # with the autoencoder of stage base, not of stage vae2
    batch: int = 64


@dataclass(frozen=True)
class Schedule:
    """What every trained stage has: its length, its randomness, its optimizer (AdamW)."""

    seed: int
    steps: int
    batch: int
    learning_rate: float  # at its highest, after `warmup` steps
    warmup: int
    floor: float  # the cosine ends at this part of learning_rate
    weight_decay: float
    decay: str = "cosine"  # or linear, to zero
    betas: tuple[float, float] = (0.9, 0.99)
    largest_gradient: float = 1.0  # norm to which gradients are clipped


@dataclass(frozen=True)
class Vae(Schedule):
    """One stage of the autoencoder. Its loss is the sum of the terms below, by their weights."""

    weight_decay: float = 1e-4
    crop: int = 128  # side of the squares cut from the pictures
    absolute: float = 1.0  # |error|
    squared: float = 0.0  # error^2
    edges: float = 1.0  # |error of the differences between neighbours|
    colour: float = 0.0  # error^2 of the means over 8 x 8 pixels
    divergence: float = 1e-4  # of the latents from a normal distribution (KL)


@dataclass(frozen=True)
class Text(Schedule):
    weight_decay: float = 1e-2
    betas: tuple[float, float] = (0.9, 0.999)
    largest_gradient: float = float("inf")
    length: int = 40  # tokens; the longest caption has fewer


@dataclass(frozen=True)
class Unet(Schedule):
    """One stage of the UNet, trained together with the text encoder."""

    pictures: str = "data"  # the stage that drew them
    weight_decay: float = 1e-2
    pretrained_text: bool = False  # take the text encoder from stage text, not the stage before
    words_rate: float = 1.0  # learning rate of cross-attention, in learning_rates
    text_rate: float = 1.0  # learning rate of the text encoder, in learning_rates
    masked: float = 0.0  # part of the batches that see the words only, not the padding
    noisy: float = 0.0  # part of the samples taken from the noisier time steps (400 and above)
    empty: float = 0.1  # part of the prompts replaced by "", for classifier-free guidance
    snr_limit: float = 5.0  # gamma of the min-SNR weights (Hang et al. 2023, arXiv 2303.09556)
    layout: float = 0.0  # part of the weights of an error in the picture that is added to min-SNR's
    average: float = 0.9985  # decay of the moving average of the weights, which is what is kept


@dataclass(frozen=True)
class Base:
    model: str | None = None  # the model folder to go on from; None: what the stages before made


@dataclass(frozen=True)
class Views:
    """The pictures by which the observer learns to see."""

    first: int = 200_000  # number of the first scene
    pictures: int = 9000
    pairs: float = 0.5  # part of the scenes with two objects
    noise: float = 0.3  # standard deviation, at most, on the latents of the blurred ones
    batch: int = 64


@dataclass(frozen=True)
class Observer(Schedule):
    weight_decay: float = 1e-3
    blurred: float = 0.7  # part of the pictures that went through the autoencoder
    held_out: int = 1000  # of the views, the last: not trained on


@dataclass(frozen=True)
class Sheet:
    steps: int = 50
    guidance: float = 7.5
    seeds: int = 4  # pictures of each prompt
    prompts: int = 24  # how many of evaluate.PROMPTS


@dataclass(frozen=True)
class Recipe:
    data: Data = Data()
    tokenizer: Tokenizer = Tokenizer()
    vae1: Vae = Vae(seed=0, steps=1000, batch=16, learning_rate=2e-3, warmup=100, floor=1e-3)
    # The first stage alone confuses hues: edges cost more than flat colours. The second looks at
    # small squares, many at a time, and at their mean colours.
    vae2: Vae = Vae(seed=1, steps=2400, batch=48, learning_rate=1.5e-3, warmup=50, floor=2e-3,
                    crop=64, absolute=0.5, squared=2.0, edges=0.5, colour=4.0, divergence=5e-5)
    latents: Latents = Latents()
    text: Text = Text(seed=7, steps=400, batch=128, learning_rate=1e-3, warmup=100, floor=0.0,
                      decay="linear")
    unet1: Unet = Unet(seed=0, steps=5500, batch=24, learning_rate=6e-4, warmup=200, floor=5e-3)
    unet2: Unet = Unet(seed=99, steps=3700, batch=24, learning_rate=5e-4, warmup=100, floor=5e-3,
                       words_rate=2.0, text_rate=2.0, masked=0.5)
    unet3: Unet = Unet(seed=199, steps=3300, batch=24, learning_rate=5e-4, warmup=100, floor=5e-3,
                       pretrained_text=True, words_rate=2.0, text_rate=0.3, masked=0.5,
                       noisy=0.4)
    base: Base = Base()
    # Of two objects, colours and places are mixed up. These pictures have more of them, and say
    # which is which: the one that is named first stands on the left.
    pairs: Data = Data(first=100_000, pictures=16000, pairs=0.7, ordered=True, omit=0.06)
    pair_latents: Latents = Latents(pictures="pairs", from_base=True)
    unet4: Unet = Unet(seed=299, steps=3000, batch=24, learning_rate=4e-4, warmup=100, floor=5e-3,
                       pictures="pairs", words_rate=2.0, text_rate=0.5, masked=0.5, noisy=0.5,
                       layout=0.3, average=0.999)
    export: None = None
    views: Views = Views()
    observer: Observer = Observer(seed=5, steps=1500, batch=64, learning_rate=3e-3, warmup=100,
                                  floor=1e-3)
    sheet: Sheet = Sheet()


RECIPE = Recipe()
SMOKE = Recipe(
    data=replace(RECIPE.data, pictures=512),
    vae1=replace(RECIPE.vae1, steps=4, batch=4),
    vae2=replace(RECIPE.vae2, steps=4, batch=8),
    text=replace(RECIPE.text, steps=4, batch=16),
    unet1=replace(RECIPE.unet1, steps=4, batch=4),
    unet2=replace(RECIPE.unet2, steps=4, batch=4),
    unet3=replace(RECIPE.unet3, steps=4, batch=4),
    pairs=replace(RECIPE.pairs, pictures=512),
    views=replace(RECIPE.views, pictures=192),
    observer=replace(RECIPE.observer, steps=4, batch=16, held_out=64),
    unet4=replace(RECIPE.unet4, steps=4, batch=4),
    sheet=replace(RECIPE.sheet, steps=2, seeds=1, prompts=2),
)
