#!/bin/sh
# Lines that cannot be done do not stop the others, and none goes unmentioned.
. tests/program/lib.sh

# Does the last command's stdout tell of every wrong line of edits.jsonl?
names_every_wrong_line()
{
    prints 'edits.jsonl:3: ' \
        'edits.jsonl:7: targets[0]: unknown key "self_replace_step"' \
        'did you mean "self_replace_steps"?' \
        'edits.jsonl:10: targets[1]: "replace"' 'the target prompt 7; use "refine"' \
        'edits.jsonl:11: targets[0]: local_blend, target: the word "cueb"' 'did you mean "cube"?' \
        'edits.jsonl:13: the prompt has 282 tokens' 'the limit is 77' \
        'edits.jsonl:15: the id "ball-to-cube" is line 1'
}

check "plan exits 1 when lines are wrong" ends 1 "$program" plan $config
check "plan names every wrong line and what is wrong with it" names_every_wrong_line
check "plan counts the edits and the wrong ones" prints "14 lines, 17 edits, 6 of them"

check "a run with wrong lines ends with 2" ends 2 on 2 run $config --store "$work/a.h5"
check "the run says how many failed" says "6 pictures could not be made" "status $work/a.h5"

check "status exits 2 when edits failed" ends 2 "$program" status "$work/a.h5"
check "status names every wrong line and what is wrong with it" names_every_wrong_line
check "all other pictures are done" prints "27 pictures: 21 done, 6 failed, 0 left"

check "show tells of a target that failed" ends 0 "$program" show "$work/a.h5" half-wrong
check "one wrong target does not spoil its line" prints "state       done" "state       failed" \
    "because     edits.jsonl:10: targets[1]"

check "only wrong lines: exit status 1" ends 1 on 2 run $config \
    --manifest tests/program/wrong.jsonl --store "$work/none.h5"
check "only wrong lines: all are named" says \
    'wrong.jsonl:1: "targets" is an object; a list is wanted' \
    'wrong.jsonl:2: targets[0]: "edit" is "refin"' 'wrong.jsonl:3: an object {...} is wanted'
check "only wrong lines: nothing is written" [ "$(ls "$work")" = "a.h5
stderr
stdout" ]

: >"$work/empty.jsonl"
check "an empty manifest: exit status 1" \
    ends 1 "$program" plan $config --manifest "$work/empty.jsonl"
check "an empty manifest is named" says "$work/empty.jsonl has no edits in it"
