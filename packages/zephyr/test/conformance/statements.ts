/**
 * The language statement by statement, in the order of the reference: what is claimed, and templates that would come
 * out otherwise if it were not so. Variables are those of the fixture.
 */
export const STATEMENTS: Record<string, Record<string, [template: string, expected: string][]>> = {
  'text and tags': {
    'white space of any kind after a brace keeps it text': [
      ['{ x}{\tx}{\nx}{\r\nx}{\u00a0x}', '{ x}{\tx}{\nx}{\r\nx}{\u00a0x}'],
      ['a{', 'a{'],
      ['{}{ }', '{}{ }'],
    ],
    'so does every character that begins no tag': [
      ['{\\x}{+1}{,}{<b>}{?x}{é}{=x}{]}{)}{;}{~}', '{\\x}{+1}{,}{<b>}{?x}{é}{=x}{]}{)}{;}{~}'],
      ['{/ if}{/foo}{/iffy}', '{/ if}{/foo}{/iffy}'],
    ],
    'these begin one': [
      ['{tier}{_x}{5}{"a"}{\'b\'}{(1)}{[1][0]}{!1}{-1}', 'gold5ab11false-1'],
      ['{/if x}', 'COMPILE ERROR'],
    ],
    'braces in texts do not count': [["{'}'}{'{'}{\"}\"}", '}{}']],
    'nested braces do': [["{m = {'a':{'b':{}}}}{m}", '{"a":{"b":{}}}']],
    'white space before the closing brace is allowed': [['{tier\t \n}', 'gold']],
    'whatever stands around a tag is text': [['$#{tier}%|', '$#gold%|']],
  },
  'double braces': {
    'are the same tag': [
      ['{{tier}}{{x = 3}}{{x}}', 'gold3'],
      ['{{if tier}}a{{elseif 1}}b{{else}}c{{/if}}', 'a'],
      ['{{switch tier}}{{case "gold"}}G{{/case}}{{/switch}}', 'G'],
      ['{{tier}}}', 'gold}'],
    ],
    'with white space inside they are text': [['{{ tier }}{{\ntier}}', '{{ tier }}{{\ntier}}']],
    'are a single one around an object where they cannot be a tag': [
      ["{{'a':1} + {'b':2}}", '{"a":1,"b":2}'],
      ["{{'a':{'b':1}} + {'c':{'d':2}}}", '{"a":{"b":1},"c":{"d":2}}'],
      ["{{'k':tier}.k}", 'gold'],
      ['{{a:1}}{{a:{b:1}}}', '{"a":1}{"a":{"b":1}}'],
      ['{{}}', '{}'],
    ],
    'must end as they began': [
      ['{{tier} }', 'COMPILE ERROR'],
      ['{{{tier}}}', 'COMPILE ERROR'],
    ],
  },
  'style sheets, scripts, comments of the page': {
    'braces that are no tags survive in style sheets': [
      ['<style>a{b:c}d{tier}</style>', '<style>a{b:c}dgold</style>'],
      ['<style>@media{.a{x:y}}{if tier}.b{c:d}{/if}</style>', '<style>@media{.a{x:y}}.b{c:d}</style>'],
      ['<STYLE type=x>a{b:c}</STYLE >{tier}', '<STYLE type=x>a{b:c}</STYLE >gold'],
    ],
    'and in scripts': [
      ['<script>x = {"a": [1, {"b": 2}]}</script>', '<script>x = {"a": [1, {"b": 2}]}</script>'],
      ['<script>{/if}{h(tier)}</script>', '<script>{/if}gold</script>'],
      [
        '<script>{"@type":"Offer","n":"{tier}","p":{number(5,2)}}</script>',
        '<script>{"@type":"Offer","n":"gold","p":5.00}</script>',
      ],
    ],
    'a word of JavaScript and a call of nobody’s function are text in scripts alone': [
      ['<script>{return}{debugger}{nosuch(1)}{tier}</script>', '<script>{return}{debugger}{nosuch(1)}gold</script>'],
      ['<style>{nosuch(1)}</style>', 'COMPILE ERROR'],
      ['{return}', ''],
    ],
    'what is well formed is a tag everywhere': [
      ['<style>{brand}</style>', '<style></style>'],
      ['<!-- {x:y} {tier} -->{tier}', '<!-- {x:y} gold -->gold'],
      ['<!-- {if x} -->', 'COMPILE ERROR'],
    ],
    'outside of them what is not well formed is refused': [
      ['<style>{"a":1}</style>{"a":1}', 'COMPILE ERROR'],
      ['<p style="{color:red}">', 'COMPILE ERROR'],
    ],
  },
  comments: {
    'hold anything up to the first end and do not nest': [
      ['a{* x\ny {"} \' *}b', 'ab'],
      ['{* a *} *}', ' *}'],
      ['{* {* *} *}', ' *}'],
      ['{***}{** x **}y', 'y'],
    ],
  },
  'white space': {
    'tags take none away': [['{x = 1}\n\n{x}\n', '\n\n1\n']],
    'inside of tags it means nothing, line ends included': [
      ['{join([\n1,\n2\n],\n",")}', '1,2'],
      ['{foreach\ncontent\nas\nc}.{/foreach}{if\n1}a{/if\n}', '...a'],
      ["{l = [\n{\n'a':1},\n{'a':2}\n]}{length(l)}", '2'],
    ],
  },
  tokens: {
    'names tell upper from lower case': [['{Tier}{TIER}{tier}', 'gold']],
    'both quotes mean the same; a backslash escapes': [
      ['{\'a\\"b\'}{"a\\\'b"}', 'a"ba\'b'],
      ["{'\\u00e9\\u12\\{\\q'}", 'éu12{q'],
      ["{'{first_name} ${x}'}", '{first_name} ${x}'],
    ],
    'numbers have no exponent, no base, no separators': [
      ['{12.5 + .5}{007}', '137'],
      ['{12.}', 'COMPILE ERROR'],
      ['{1_000}', 'COMPILE ERROR'],
      ['{1e3}', 'COMPILE ERROR'],
      ['{0x1f}', 'COMPILE ERROR'],
    ],
    'true, false and null are words in lower case': [['{True ?: "t"}{NULL ?: "n"}{true}', 'tntrue']],
    'reserved words are no variables': [
      ...['true', 'false', 'null', 'if', 'else', 'case', 'switch', 'select', 'for', 'foreach', 'lambda'].map(
        (word): [string, string] => [`{${word} = 1}`, 'COMPILE ERROR'],
      ),
    ],
    '… but keys, and so are words that mean something in a tag only': [
      ['{x.for = 1}{x.for}{x.true}{x.lambda}', '1'],
      ['{elseif}', 'COMPILE ERROR'],
      ['{in = 1}{as = 2}{break = 3}{include = 4}{in}{as}{x = elseif}{break + include}', '127'],
      ['{foreach [1] as as}{as}{/foreach}{[in for in in [2]]}', '1[2]'],
    ],
    'odd keys are reached by brackets': [
      [
        "{m = {'real-estate': [{'title': 'T'}], '@id': 5, '#text': 'x', '1a': 2, 'a b': 3}}{m['real-estate'][0].title}{m['@id']}{m['#text']}{m['1a']}{m['a b']}",
        'T5x23',
      ],
    ],
    'entities of rich-text editors are read outside of texts': [
      ['{h(&quot;x&quot;)}{if points &gt;= 120 &amp;&amp; tier == &#39;gold&#39;}y{/if}', 'xy'],
      ['{tier&nbsp;== &#34;gold&#34; ? 1 : 2}{if 1&lt;=2}y{/if}', '1y'],
      ["{'&lt;b&gt;&quot;&amp;'}", '&lt;b&gt;&quot;&amp;'],
    ],
  },
  'tags that do not exist': {
    'are refused': [
      ...['for x in y', 'while 1', 'set x = 1', 'with x', 'capture x', 'tier|upper', 'default', 'macro f(x)'].map(
        (tag): [string, string] => [`{${tag}}{/if}`, 'COMPILE ERROR'],
      ),
    ],
    'blocks close in order': [
      ['{if 1}{foreach [1] as x}{/if}{/foreach}', 'COMPILE ERROR'],
      ['{/foreach}', 'COMPILE ERROR'],
      ['{if 1}{else if}{/if}', 'COMPILE ERROR'],
      ['{switch 1}{if 1}{/if}{/switch}', 'COMPILE ERROR'],
      ['{select}{tier}{/select}', 'COMPILE ERROR'],
    ],
  },
  operators: {
    'bind as the reference says': [
      ['{-2 + 3 * -2} {2 * 3 % 4} {1 - -1} {--1}', '-8 2 2 1'],
      ['{!1 == 0} {1 < 2 == 1} {!(1 && 0) || 0}', 'true true true'],
      ['{0 ? 1 : 0 ? 2 : 3} {1 ? 2 ? "a" : "b" : "c"} {i % 2 != 0 ? 1 : 2}', '3 a 2'],
      ['{a = 1 || 2}{a} {b = 0 ?: 5}{b} {c = 1 == 1 ? "y" : "n"}{c} {x = y = z = 2}{x+y+z}', '1 5 y 6'],
      ['{1 < 2 ? lambda x: x : 3}{(1 ? lambda x: x + 1 : 0)(4)}', '5'],
    ],
    'assignments may stand inside and yield their value': [
      ['{tier ? x = 1 : 0}{x}{f = lambda x: y = x}{f(3)}{y}', '1133'],
      ["{x['y'] = 1}{x.y}{x['y']}{'q' = 5}{q}", '115'],
    ],
    'properties of results, calls of properties, trailing commas': [
      ["{m = {'f': lambda x: x * 2, 'n': 3}}{m.f(m.n)}{m['f'](4)}", '68'],
      ['{x = [1,2,]}{x}{y = {a:1,}}{y}{upper("a",)}', '[1, 2]{"a":1}A'],
    ],
    add: [
      ['{"a" + 1 + 2}{1 + 2 + "a"}{true + "x"}{round(1) + "x"}', 'a123atruex1.0x'],
      ["{[1] + [[2]]}{[1] + 'a'}{'a' + [1]}{[1] + {'k':2}}", '[1, [2]][1, a][a, 1][1, {"k":2}]'],
      ["{5 + null}{null + 5}{null + 'a'}{null + []}[{null + null}]", '55a[][]'],
      ["{{'a':1} + 'x'}{'x' + {'a':1}}", '{"a":1}xx{"a":1}'],
    ],
    calculate: [
      ["{'10' - '4'}{'2' * '3'}{'9' / '3'}{'7' % '4'}", '6633'],
      ["[{'a' - 1}][{'1a' * 1}][{[] - 1}][{{} * 1}][{-'x'}]", '[][][][][]'],
      ['{null - 1}{true - 1}{"" * 3}{false + 1}', '-1001'],
      ['[{0/0}][{1/0}][{-1/0}][{5%0}] {-7 % 3}{7 % -3}', '[][][][] -11'],
    ],
    'compare for equality': [
      ["{'07' == '7'}{7 == '07'}{'a' == 'A'}{0 == 'a'}{'' == 0}{' ' == 0}", 'falsetruefalsefalsefalsefalse'],
      ["{null == []}{null == {}}{null == ' '}{null != 'x'}{null == null}", 'falsefalsefalsetruetrue'],
      [
        "{true == 'True'}{false == 'FALSE'}{true == 'yes'}{true == '1'}{false == ''}{false == null}{true == []}",
        'truetruefalsefalsefalsetruefalse',
      ],
      ["{[1,[2,{'a':3}]] == [1,[2,{'a':3}]]}{[1] == '1'}{{'a':1} == {'a':'1'}}", 'truefalsetrue'],
    ],
    'compare for order': [
      ["{'10' < '9'}{'10' < '9a'}{'A' < 'a'}{'' < 'a'}{null < ''}{null <= ''}", 'falsetruetruetruefalsetrue'],
      ['{null > -1}{null >= 0}{null < null}{true > false}{[2] > [1]}{"a" > 1}', 'truetruefalsefalsefalsefalse'],
      ["{'2024-01-02' < '2024-01-10'}{profile.optout < 'x'}", 'truetrue'],
    ],
  },
  printing: {
    numbers: [
      [
        '{0.1 + 0.2} {100000000000000000000000} {0.0000001} {-0}',
        '0.30000000000000004 100000000000000000000000 0.0000001 0',
      ],
      ['{round(7) / 2} {x = round(3)}{x}|{x + 0}|{number(x)}|{x * 1}|{x + "a"}', '3.5 3.0|3|3|3|3.0a'],
      ['{round(3) > 2 ? round(3) : 0}', '3.0'],
    ],
    'lists and objects': [
      ["{[]}{[{}]}{[[]]}{['a, b', 'c']}", '[][{}][[]][a, b, c]'],
      ['{[round(1), [null, true]]}', '[1.0, [, true]]'],
      ["{{'a':round(1),'b':[1,'x',null],'c':{'d':true}}}", '{"a":1.0,"b":[1,"x",null],"c":{"d":true}}'],
    ],
    nothing: [["{lambda: 1}{f = lambda: 1}{f}{push('l', 1)}{set('m', 1)}{null}{missing}", '']],
  },
  truth: {
    'four values are false': [
      ["{if 'a'}1{/if}{if 0.1}2{/if}{if -1}3{/if}{if [0]}4{/if}{if round(0)}5{/if}{if {}}6{/if}", '12346'],
    ],
  },
  reading: {
    'positions count from zero and never from the end': [
      [
        '{content[1]["title"]}|{content["1"].title}|{content[-1].title}|{content[99]}|{content[1.5]}',
        'Rope care|Rope care|||',
      ],
      ["{'abc'[0]}{'abc'[2]}{'abc'[3]}{'abc'[-1]}", 'ac'],
    ],
    'what is not there is nothing': [
      ["{tier.length}{points.x}{'abc'.a}{profile.lists.length}{null.x}{null[0]}{missing.a[3].b}", ''],
    ],
    'both spellings of a key': [["{profile['vars']['tier']}{m = {'1':'a'}}{m[1]}{m['1']}", 'goldaa']],
    'only what the data itself has': [
      ["{x = {}}{x['__proto__'] = 1}{x['constructor']}{x['__proto__']}", '1'],
      [
        "{profile.__proto__}{content.constructor}{'a'.constructor}{(lambda: 1).constructor}{profile['prototype']}{[].length}",
        '',
      ],
      ['{x = round(2)}{x.value}{f = lambda a: a}{f.arity}{f.body}', ''],
    ],
  },
  scope: {
    'blocks open none': [
      ['{if 0}{x = 1}{/if}{x}|{if 1}{x = 2}{/if}{x}|{foreach [1,2] as y}{t = y}{/foreach}{t}{y}', '|2|2'],
    ],
    'loop variables hide outer ones for a while': [
      ['{x = 5}{foreach [1,2] as x}{x}{/foreach}{x}{[x for x in [7]]}{x}', '125[7]5'],
      ['{first_name = null}{foreach [1] as first_name}{first_name}{/foreach}[{first_name}]', '1[]'],
    ],
    'paths make objects': [['{o = null}{o.n = 7}{o.n}{p.a[0] = 1}{p}', '7{"a":{"0":1}}']],
    'a variable set to nothing stays so': [
      ["{points = null}[{points}]{push('points', 1)}{points}", '[][1]'],
      ["{tier = null}{tier ?: 'none'}{set('tier', 'x')}{tier}", 'nonex'],
    ],
    'what a foreach walks cannot be changed': [
      ['{x = [1,2]}{foreach x as e}{x[0] = 9}{/foreach}', 'RENDER ERROR'],
      ["{x = {'a':1}}{foreach x as e}{x.b = 2}{/foreach}", 'RENDER ERROR'],
      ["{x = [3,1]}{y = x}{foreach x as e}{push('y', 1)}{/foreach}", 'RENDER ERROR'],
      ['{foreach content as c}{foreach [1] as n}{z = sort(content)}{/foreach}{/foreach}', 'RENDER ERROR'],
    ],
    '… but its name can get a new value, and its elements their own': [
      ['{x = [1,2]}{foreach x as e}{x = x + [e]}{/foreach}{x}', '[1, 2, 1, 2]'],
      ["{x=[1]}{foreach x as e}{set('x',[5])}{/foreach}{x}{push('x', 6)}{x}", '[5][5, 6]'],
      ["{x = [[1],[2]]}{foreach x as e}{push('e', 9)}{/foreach}{x}", '[[1, 9], [2, 9]]'],
      ['{x = [2,1]}{foreach x as e}{z = shuffle(x)}{/foreach}{x}', '[2, 1]'],
    ],
    'what a comprehension appends to its list is not walked': [
      ["{l=[1,2]}{x = [push('l', n) for n in l]}{l}", '[1, 2, 1, 2]'],
    ],
    lambdas: [
      ['{f = lambda n: n <= 1 ? 1 : n * f(n - 1)}{f(10)}', '3628800'],
      ['{f = lambda a, b: a}{f()}|{f(1)}|{f(1,2,3)}', '|1|1'],
      ['{x = 1}{f = lambda: x}{x = 9}{f()}', '9'],
      ['{f = lambda x: (x = x + 1)}{f(1)}[{x}]', '2[]'],
    ],
  },
  blocks: {
    foreach: [
      ['{foreach {"a":1,"b":2} as v}{v}{/foreach}{foreach {"a":1} as k,v}{k}{v}{/foreach}', '12a1'],
      ['{foreach [5,6] as i,v}{i}{v} {/foreach}', '05 16 '],
      ['{foreach true as v}x{/foreach}{foreach lambda: 1 as v}x{/foreach}{foreach "ab" as v}x{/foreach}', ''],
    ],
    'break and continue': [
      [
        '{foreach [1,2,3] as a}{foreach [1,2] as b}{if b == 1}{continue}{/if}{a}{b}{/foreach}{if a == 2}{break}{/if},{/foreach}',
        '12,22',
      ],
      ['{foreach [1,2] as a}{select}{case 1}{break}{/case}{/select}{a}{/foreach}x', 'x'],
    ],
    switch: [
      ['{switch "1"}{case 1}a{/case}{case "1"}b{/case}{/switch}', 'a'],
      ['{switch missing}{case null}n{/case}{/switch}', 'n'],
      ['{switch 1}text{case 2}x{/case}more{case 1}y{/case}{/switch}', 'y'],
      ["{switch profile.optout}{case 'none'}N{/case}{/switch}", 'N'],
    ],
    select: [
      ['{select}{case missing}a{/case}{case "x"}b{/case}{/select}', 'a'],
      ['{select}{case -1}a{/case}{case null}b{/case}{/select}', 'b'],
      ['{select}junk{case 1}a{/case}{case 3}b{/case}{case 3}c{/case}{/select}', 'b'],
    ],
  },
  calls: {
    'missing arguments take their default, surplus ones are evaluated and ignored': [
      ["{upper('a', 'b', x = 5)}{x}{upper()}{lower()}{length()}{int()}{list()}", 'A500[]'],
    ],
    'variables and functions have separate names': [
      [
        '{list = "x"}{title = "y"}{text = 1}{first = 2}{type = 3}{list}{title}{text}{first}{type}{list(1)}{type(1)}',
        'xy123[1]number',
      ],
      ["{h = lambda x: 'H' + x}{h('<')}{f = 5}{f(1)}", 'H<'],
      ["{foreach [lambda x: x + 1] as upper}{upper(1)}{/foreach}{upper('a')}", '2A'],
      ["{Upper('a')}", 'COMPILE ERROR'],
    ],
  },
  'functions for text': {
    title: [["{title('o neil a b')}|{title('é à')}|{title(null)}|{title('a-b')}", 'O Neil A B|É À||A-b']],
    substr: [
      [
        "{substr('abc', 0, 0)}|{substr('abc', 3)}|{substr('abc', -2, 1)}|{substr(null, 1)}|{substr('abc', 1, -1)}|{substr('abcdef', 1, -9)}",
        '||b||b|',
      ],
    ],
    replace: [["{replace('aXa', 'x', 'y')}{replace('a.a', '.', '')}{replace('aaa', 'a', 'aa')}", 'aXaaaaaaaaa']],
    split: [
      [
        "{split('a b  c', ' ')}{split('abc', '')}{split(null, ',')}{split(',,', ',')}{split('a', null)}",
        '[a, b, c][a, b, c][][][a]',
      ],
    ],
    join: [["{join([], ',')}|{join([1,[2,3]], '-')}|{join(['a','b'])}|{join({'a':1,'b':2}, ',')}", '|1-[2, 3]|ab|1,2']],
    'strpos, strrpos': [
      ["{strpos('abcabc', 'c', 3)} {strrpos('abcabc', 'c')} {strpos(null, 'a')} {strpos('abc', '')}", '5 5 -1 0'],
    ],
    first: [["{first('x@y.z', '@')}|{first([7,8])}|{first({'k':'v'})}|{first(' ')}|{first(5)}", 'x|7|v||5']],
    length: [["{length('é😀')}{length(12.5)}{length({'a':1,'b':2})}{length(false)}", '2425']],
    contains: [
      [
        "{contains([1,'2'], 2)}{contains({'a':0}, 'a')}{contains([null], 0)}{contains(123, 2)}{contains(['none'], profile.optout)}",
        'truetruetruetruetrue',
      ],
    ],
    'h, u, strip_tags': [
      [
        "{h('a&amp;b')}|{h(u('a b&c'))}|{u('é /?&=+')}|{strip_tags('a &lt; <b>b</b><script>x</script>')}",
        'a&amp;amp;b|a+b%26c|%C3%A9+%2F%3F%26%3D%2B|a &lt; bx',
      ],
    ],
    'digests are of UTF-8': [["{md5('é')}", '66ddcd97cfdeabb2f6fb8a999b4bc76f']],
    base64: [
      ["{base64_decode('####')}|{base64_decode(null)}|{base64_encode('')}|{base64_decode(base64_encode('é'))}", '|||é'],
    ],
  },
  'functions for lists': {
    'list, set, push': [
      [
        "{list('a')}{list(false)}{list(null)}{set('x', [1])}{push('x', 2)}{push('n', 1)}{x}{n}{set('', 1)}",
        '[a][false][][1, 2][1]',
      ],
    ],
    'slice, range': [
      ["{slice([1,2,3], -2, 1)}{slice([1,2,3], 9)}{slice('abcd', 1, 2)}{slice([1,2,3], 0, 0)}", '[2][]bc[]'],
      [
        "{range(0,1)}{range(3,1)}{range(1,10,-3)}{range('1','3')}{range(-2,0)}",
        '[0, 1][][1, 4, 7, 10][1, 2, 3][-2, -1, 0]',
      ],
    ],
    'sort is stable, works in place, sees top-level fields only': [
      [
        "{l=[{'p':2,'n':'a'},{'n':'b'},{'p':1,'n':'c'},{'p':2,'n':'d'}]}{join(map(sort(l,'p'), lambda x: x.n), '')}|{join(map(sort(l,'-p'), lambda x: x.n), '')}",
        'cadb|adcb',
      ],
      ["{l=[{'v':{'x':2}},{'v':{'x':1}}]}{join(map(sort(l,'v.x'), lambda q: q.v.x), ',')}", '2,1'],
      [
        "{x=[3,'1',2]}{y = sort(x)}{x}{sort(['bb','a','ccc'], lambda a,b: length(b) - length(a))}",
        '[1, 2, 3][ccc, bb, a]',
      ],
    ],
    'filter_content keeps pinned items, filter does not': [
      [
        "{l=[{'p':1,'pinned':true},{'p':2},{'p':3,'pinned':true}]}{join(map(filter_content(l, lambda x: false), lambda x: x.p), ',')}|{join(map(filter(l, lambda x: x.p == 2), lambda x: x.p), ',')}",
        '1,3|2',
      ],
    ],
    'dedupe, intersect, buckets': [
      [
        "{dedupe([1,1,2])}{length(dedupe([{'v':{'i':1}},{'v':{'i':1}}], 'v.i'))}{intersect([3,1,'2'],[2,3])}{intersect(null,[1])}",
        '[1, 2]1[3, 2][]',
      ],
      [
        "{b = bucket_list(content, 'vars.topic')}{keys(b)}{bucket_list([1,2,3], lambda x: x > 1 ? x % 2 : null)}",
        '[weather, gear]{"0":[2],"1":[3]}',
      ],
      ["{join(map(content_intersect(content, [content[2], {'url':'zz'}]), lambda c: c.title), ',')}", 'Anchor basics'],
      ['{keys([1])}{keys(null)}{values("x")}', '[][][]'],
    ],
  },
  'functions for numbers': {
    'number with decimals': [
      [
        "{number(1234.5)}|{number(12,2)}|{number('abc')}|{number(null,2)}|{number(true)}|{number([])}|{number(-1234567.5,1)}",
        '1,234|12.00||.00|1||-1,234,567.5',
      ],
    ],
    'number with a pattern': [
      [
        "{number(1234.5,'0')}|{number(1234.567,'#,##0.0')}|{number(5,'00.00')}|{number(1234,'$#,##0')}|{number(0.5,'0%')}|{number(-3,'0')}",
        '1234|1,234.6|05.00|$1,234|50%|-3',
      ],
    ],
    'a pattern without any 0 prints one before the point, or after it where nothing stands before': [
      [
        "{number(0.23,'#.####')}|{number(12,'#.####')}|{number(0,'#.##')}|{number(0.5,'.##')}|{number(0,'.##')}|{number(0.5,'#.00')}",
        '0.23|12|0|.5|.0|.50',
      ],
    ],
    'int, round, abs, sqrt, exp': [
      [
        "{int('42.9')}{int(-0.5)}{int('abc')}|{round(-1.5)}{round('3')}|{abs('-2.5')}|{sqrt(-4)}|{exp(4,0.5)}|{exp(2,-1)}",
        '4200|-1.03.0|2.5||2|0.5',
      ],
    ],
    compare: [
      ["{compare('b','a')}{compare('a','ab')}{compare('abc','a')}{compare('','')}{compare('10', 9)}", '1-1201'],
    ],
  },
  'functions for dates': {
    'date takes numbers, numeric texts and what time reads': [
      [
        "{date('yyyy-MM-dd HH:mm:ss', 0)}|{date('d MMM yy', -86400)}|{date('yyyy-MM-dd', '2012-01-31')}|{date('yyyy-MM-dd', 1718454600.9)}|{date('yyyy', '2024')}",
        '1970-01-01 00:00:00|31 Dec 69|2012-01-31|2024-06-15|1970',
      ],
      ["[{date('yyyy', [])}{date('yyyy', true)}{date('yyyy', '')}{date('yyyy', 'soon')}]", '[]'],
      ["{date(\"'yes' '' MMMMM EEEEE\")}", "yes ' June Saturday"],
    ],
    'time reads dates with an optional time': [
      [
        "{date('yyyy-MM-dd HH:mm', time('Jan 31, 2012 3:05 PM'))}|{date('yyyy-MM-dd HH:mm', time('31 Jan 2012 15:05'))}|{date('yyyy-MM-dd HH:mm', time('1/31/12 3 PM'))}",
        '2012-01-31 15:05|2012-01-31 15:05|2012-01-31 15:00',
      ],
      [
        "{date('yyyy-MM-dd', time('12/31/99'))}|{time('31/12/12')}|{date('MM/dd HH:mm', time('today 3 PM'))}",
        '2099-12-31||06/15 15:00',
      ],
    ],
    'and offsets, from left to right': [
      [
        "{time('+60 minutes') - time()}|{time('90 seconds') - time()}|{time('-2 hours') - time()}|{time('+1 day', 0)}",
        '3600|90|-7200|86400',
      ],
      [
        "{date('yyyy-MM-dd', time('+1 month', time('Jan 31, 2012')))}|{date('EEE MM/dd HH:mm', time('+2 weeks Wednesday 3 PM'))}",
        '2012-02-29|Wed 07/03 15:00',
      ],
    ],
  },
  'guards and the platform': {
    'assert and cancel': [
      ["{assert(1)}{assert('x', 'y')}{cancel(0)}{cancel('')}{x = assert(1)}{x}ok", 'ok'],
      ["{assert(0, [1,{'a':'b'}])}", 'CANCELLED: [1,{"a":"b"}]'],
      ["{cancel(1, 'a' + 5)}", 'CANCELLED: a5'],
    ],
    'a signup_confirm without lists never becomes the one without arguments': [
      [
        "{signup_confirm(0)} {signup_confirm(false)} {signup_confirm('  ')} {signup_confirm([null, ''])} {signup_confirm(x = null)}",
        Array(5).fill('https://l.example/pref/m1/aa').join(' '),
      ],
    ],
    'signup_confirm does not split texts': [["{signup_confirm('A, B')}", 'https://l.example/sc/m1/aa?l=A%2C+B']],
    interest: [
      [
        "{horizon_interest(['sea'])}{horizon_set_interest('sea', 1, true)}{horizon_interest('sea')}{horizon_set_interest(['sea','x'], 1)}{horizon_interest('sea,x')}",
        '2.52.51',
      ],
      [
        "{l=[{'tags':'gear','n':1},{'tags':['sea'],'n':2},{'tags':'gear','weight':5,'n':3},{'n':4}]}{map(horizon_select(l,3), lambda x: x.n)}{map(horizon_select(l,9,null,'gear'), lambda x: x.n)}",
        '[3, 2, 1][3, 1]',
      ],
    ],
  },
  variables: {
    'the level of somebody who gets mail': [
      [
        "{profile.optout == 'none'}{profile.optout != 'none'}{profile.optout == ''}{profile.optout == false}{profile.optout == 'basic'}",
        'truefalsetruetruefalse',
      ],
      [
        "{profile.optout + ''}{[profile.optout]}{upper(profile.optout)}{profile.optout ? 1 : 2}{!profile.optout}",
        'none[none]NONE2true',
      ],
    ],
    'what is absent is nothing': [
      ['{emailnum}{public_url}{forward_url}{beacon}{blast.id}{source}{profile.keys.extid}{profile.returns}', ''],
    ],
    'standard variables can be hidden by the template itself alone': [
      ['{email = "x"}{email}{foreach ["y"] as email}{email}{/foreach}{email}', 'xyx'],
    ],
  },
}
