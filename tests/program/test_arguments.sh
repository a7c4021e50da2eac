#!/bin/sh
# What each verb says of arguments that it cannot take: whole sentences, with what would be right.
. tests/program/lib.sh

# says_of "ARGUMENTS" SENTENCE
says_of()
{
    check "\`$1\` exits 1" ends 1 "$program" $1
    check "\`$1\` says: $2" says "$2"
}

says_of zzzzz 'there is no verb "zzzzz"; see `promptmill --help`'
says_of exprot 'there is no verb "exprot"; did you mean "export"?'
for verb in run plan config submit; do
    says_of $verb "a config is wanted"
    says_of "$verb --log=loud $config" "--log=loud: error, warning, info or debug is wanted"
done
says_of "plan $config other.json" '"other.json": one config is enough'
says_of "run $config $(seq -s ' ' -f --steps=%.0f 33)" '"33": more than 32 flags'
says_of "submit --parts 2.5 $config" "--parts=2.5: a whole number is wanted"
says_of "submit --parts 1 $config" '"1": a number from 2 to 1000 is wanted'
says_of "submit --hours never $config" '"never": a number from 0.01 to 8784 is wanted'

for verb in status verify show export measure compare; do says_of $verb "a store is wanted"; done
for verb in status verify measure; do says_of "$verb a.h5 b.h5" '"b.h5": one store is enough'; done
ids=$(seq -s ' ' 1001)
for verb in show export; do says_of "$verb a.h5 $ids" "at most 1000 ids"; done
says_of "measure a.h5 --as xml" '"xml": the formats are csv and jsonl'
says_of "compare $(seq -s ' ' 17)" '"17": at most 16 of them'
says_of "merge all.h5" "a name for the merged store is wanted, and the stores to merge"
says_of pack "a store and a name for its copy are wanted"
says_of "pack a.h5 b.h5 c.h5" '"c.h5": one store and one name for its copy are enough'
says_of "pack --level 10 a.h5 b.h5" "--level=10: a whole number from 1 to 9 is wanted"

says_of "export a.h5 --as gif" '"gif": the formats are png, pie-bench, instruct-pix2pix, heat-maps and masks'
says_of "export a.h5 --as pie-bench --pictures gif" '"gif": '
says_of "export a.h5 --scale 0" '"0": a whole number from 1 to 1000 is wanted'
says_of "export a.h5 $(seq -s ' ' -f '--keep=psnr>=%.0f' 17)" "at most 16 conditions"
says_of "export a.h5 --keep psnr" '"psnr" is no condition; METRIC>=NUMBER or METRIC<=NUMBER is wanted, as "ssim>=0.4"'
says_of "export a.h5 --as masks --threshold 1" '"1": a threshold is a number from 0 and below 1, or otsu'
says_of "export a.h5 --as pie-bench --scale 2" "--scale is without effect on pie-bench"
says_of "export a.h5 --table a.csv" "--table without --keep is without effect on png"

says_of import "a format and a file are wanted"
says_of "import csv a.csv b.csv" '"b.csv": one format and one file are enough'
says_of "import xml a.xml" '"xml": the formats are pie-bench, instruct-pix2pix and csv'
says_of info "a model is wanted"
says_of "info a b" '"b": one model is enough'
check "none of them writes anything" [ "$(ls "$work")" = "stderr
stdout" ]
