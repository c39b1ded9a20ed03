#!/bin/sh
# manual: mandoc has nothing to say about the manual pages.
command -v mandoc >/dev/null || {
    echo "mandoc is not installed: skipped"
    exit 77
}
cd "$top_srcdir" || exit 1
said=$(mandoc -Tlint -W warning man/* 2>&1)
[ -z "$said" ] || {
    echo "$said"
    echo "manual: mend these lines; mdoc(7) tells the language"
    exit 1
}
echo "manual: $(ls man | wc -l) page(s), all well"
