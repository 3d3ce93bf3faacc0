"""The look of an evaluation's page: light, dark, narrow and on paper."""

STYLE = """
:root { --good: #24855a; --fair: #b07a0c; --poor: #c0453c; --plain: #55606f; --real: #2f6fc6;
  --heat-ink: #123a6b; }
@media (prefers-color-scheme: dark) { :root { --good: #53bd86; --fair: #e0ac3f; --poor: #ee7d72;
  --plain: #a3adba; --real: #74a9f5; --heat-ink: #dbe9ff; } }
.good { --grade: var(--good); } .fair { --grade: var(--fair); } .poor { --grade: var(--poor); }
section > p { margin-bottom: .75rem; max-width: 46rem; }
h3, h4 { margin: 0; font-size: 1rem; } h4 { font-size: .85rem; margin-top: .9rem; }
.fault { margin-top: 1.1rem; padding: .7rem 1.1rem; border-radius: .6rem; background: var(--card);
  border: 1px solid var(--line); border-left: .35rem solid var(--poor); }
.fault h2 { margin: 0; } .fault b { color: var(--ink); font-weight: 600; }
.sound { border-left-color: var(--good); }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1.3rem; margin-top: 1.4rem; font-size: .85rem; }
.key .mark { position: static; display: inline-block; margin: 0 .45rem 0 0;
  vertical-align: -.08rem; }
.key .mark.ceiling { margin: 0 .55rem 0 .1rem; }
.key b { color: var(--grade); font-weight: 600; }
.rows { padding: .3rem 1.2rem; overflow: visible; }
.row { border-bottom: 1px solid var(--line); } .row:last-child { border-bottom: 0; }
.row > summary { display: grid; grid-template-columns: minmax(9rem, 15rem) 1fr 4.5rem;
  gap: .4rem 1.2rem; align-items: center; padding: .5rem 0; cursor: pointer; list-style: none; }
.row > summary::-webkit-details-marker { display: none; }
.row > summary:hover .name, .row[open] .name { text-decoration: underline;
  text-decoration-color: var(--soft); text-underline-offset: .2rem; }
.value { text-align: right; font-variant-numeric: tabular-nums; font-weight: 600;
  color: var(--grade, var(--ink)); }
.strip { position: relative; height: 1.1rem; }
.strip::before { content: ""; position: absolute; left: 0; right: 0; top: .5rem; height: .1rem;
  background: var(--line); border-radius: 1rem; }
.mark { position: absolute; top: .55rem; width: .8rem; height: .8rem; margin: -.4rem 0 0 -.4rem;
  border-radius: 50%; }
.mark.clone { background: var(--grade, var(--plain)); box-shadow: 0 0 0 2px var(--card); }
.mark.floor { border: .14rem solid var(--soft); background: var(--card); }
.mark.reference { width: .12rem; height: .7rem; margin: -.35rem 0 0 -.06rem; border-radius: 0;
  background: var(--soft); }
.mark.ceiling { background: var(--real); border-radius: .1rem; transform: rotate(45deg);
  width: .62rem; height: .62rem; margin: -.31rem 0 0 -.31rem; }
.interval { position: absolute; top: .37rem; height: .36rem; border-radius: .2rem; opacity: .35;
  background: var(--grade, var(--plain)); }
.meaning { padding: 0 0 .9rem; font-size: .9rem; } .meaning p { max-width: 46rem; }
.beside { display: flex; flex-wrap: wrap; gap: .1rem 1.2rem; font-variant-numeric: tabular-nums; }
.beside span:first-child { color: var(--ink); }
.more > summary { cursor: pointer; color: var(--soft); padding: .6rem 0; font-size: .9rem; }
.wide { overflow-x: auto; }
.meaning table { width: auto; margin-top: .6rem; font-variant-numeric: tabular-nums; }
.meaning th { font-weight: 500; color: var(--soft); }
.meaning td, .meaning th { padding: .12rem 1.2rem .12rem 0; text-align: right;
  white-space: nowrap; }
.meaning td:first-child, .meaning th:first-child { text-align: left; }
.heat { width: auto; border-collapse: separate; border-spacing: .2rem;
  font-variant-numeric: tabular-nums; }
.heat th { font-weight: 500; font-size: .85rem; text-align: left; padding: 0 .6rem 0 0;
  white-space: nowrap; }
.heat tr:first-child th { vertical-align: bottom; padding: 0 .2rem .3rem; }
.heat tr:first-child th + th { text-align: center; white-space: normal; max-width: 6rem; }
.heat td { text-align: center; min-width: 4.2rem; padding: .5rem .4rem; border-radius: .3rem;
  border: .14rem solid transparent;
  background: color-mix(in srgb, var(--real) calc(8% + 62% * var(--heat)), var(--card)); }
.heat .own { border-color: var(--ink); } .heat .best { font-weight: 700; }
.people { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr));
  gap: 1rem; align-items: start; }
.person { overflow: hidden; }
.person dl { margin: .4rem 0 .9rem; } .person dl div { display: flex; gap: .6rem;
  justify-content: space-between; font-size: .9rem; }
.person dt { color: var(--soft); } .person dd { margin: 0; text-align: right;
  font-variant-numeric: tabular-nums; }
.person small { color: var(--soft); }
.person ol { margin: .3rem 0 0; padding-left: 1.2rem; font-size: .88rem; color: var(--soft); }
.person li { margin-top: .3rem; } .person li b { color: var(--ink); font-weight: 600; }
.pair { display: grid; grid-template-columns: 8.5rem 1fr 2.6rem; gap: 0 .6rem;
  align-items: center; font-size: .8rem; margin-top: .45rem; font-variant-numeric: tabular-nums; }
.pair .name { grid-row: 1 / 3; color: var(--soft); } .pair span { line-height: 1.25; }
.bar { height: .4rem; border-radius: .2rem; background: var(--line); overflow: hidden; }
.bar i { display: block; height: 100%; background: var(--plain); border-radius: .2rem; }
.bar.ceiling i { background: var(--real); }
.none { font-size: .88rem; margin-top: .8rem; }
.replies { display: grid; gap: .8rem; }
.reply > div { display: grid; grid-template-columns: 1fr 1fr; gap: .9rem; margin-top: .6rem; }
.before, .said span { white-space: pre-wrap; overflow-wrap: anywhere; }
.before { margin: 0; font-size: .9rem; }
.said { margin: 0; padding-left: .8rem; border-left: .2rem solid var(--plain); color: var(--ink); }
.said b { display: block; font-size: .8rem; font-weight: 500; color: var(--soft); }
.really { border-left-color: var(--real); }
.rooms { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: 1rem;
  align-items: start; }
.room p { color: var(--ink); margin: 0 0 .35rem; font-size: .92rem; overflow-wrap: anywhere; }
.room b { font-weight: 600; margin-right: .2rem; } .room .again { opacity: .45; }
.room .fate { color: var(--poor); font-weight: 600; }
.limits { color: var(--soft); font-size: .9rem; padding-left: 1.2rem; margin: 0; }
@media (max-width: 40rem) {
  main { padding: 1.4rem .9rem 3rem; }
  .row > summary { grid-template-columns: 1fr auto; }
  .row .strip { grid-row: 2; grid-column: 1 / -1; }
  .reply > div { grid-template-columns: 1fr; }
  .pair { grid-template-columns: 7rem 1fr 2.6rem; }
}
@media print {
  :root { --page: #fff; --card: #fff; --ink: #1c1f24; --soft: #5d6673; --line: #dfe3e8; }
  body { font-size: 11px; } main { max-width: none; padding: 0; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .key span:last-child, .more { display: none; }
  .card, .fault, .row, .reply, .room, tr { break-inside: avoid; } h2 { break-after: avoid; }
}
"""
