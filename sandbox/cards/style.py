"""How the pages look: one sheet, and for each CRM its colours and its name. Inline, without anything from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """A CRM's name and colours: the bar on top, its text, links and buttons, the page's ground."""

    name: str
    bar: str
    accent: str
    ground: str
    radius: str = "6px"


LOOKS: Mapping[str, Look] = {
    "amocrm": Look("amoCRM", "#203a49", "#2a6fb0", "#eef1f4", "3px"),
    "bitrix24": Look("Bitrix24", "#1058d0", "#0b5cc0", "#e9f1f7", "12px"),
    "hubspot": Look("HubSpot", "#2d3e50", "#00688b", "#f5f8fa", "4px"),
}

SHEET = """
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:#1f2933}
body{font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
a{color:var(--accent)}
.bar{background:var(--bar);color:#fff;padding:10px 20px;display:flex;flex-wrap:wrap;gap:4px 20px;align-items:baseline}
.bar a{color:#fff;text-decoration:none}.bar a:hover,.bar a[aria-current]{text-decoration:underline}
.bar strong{font-size:16px}.bar small{opacity:.85;margin-left:auto}
main{max-width:1160px;margin:0 auto;padding:16px 20px 40px}
.head{display:flex;flex-wrap:wrap;gap:4px 24px;align-items:baseline;margin:4px 0 14px}
h1{font-size:24px;line-height:1.2;margin:0;overflow-wrap:anywhere}
h2{font-size:15px;margin:0 0 10px}
.dim{color:#52606d}
.columns{display:grid;grid-template-columns:minmax(300px,380px) minmax(0,1fr);gap:16px;align-items:start}
.box{background:#fff;border:1px solid #d9e2ec;border-radius:var(--radius);padding:14px 16px;margin:0 0 16px}
dl{margin:0}dl>div{padding:6px 0;border-top:1px solid #edf1f5}dl>div:first-child{border-top:0}
dt{color:#52606d;font-size:12.5px;display:flex;justify-content:space-between;gap:8px}
dt a{flex:none}.note{font-style:italic;text-align:right}dd{margin:0;overflow-wrap:anywhere;white-space:pre-line}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th{font-weight:600;color:#52606d;text-align:left;font-size:12.5px}
th,td{padding:7px 10px 7px 0;border-bottom:1px solid #edf1f5;vertical-align:top}
td.sum,th.sum{text-align:right;white-space:nowrap}td.when,td.deeds{white-space:nowrap}
td.deeds{text-align:right;padding-right:0}
.dim{font-size:13px}td.deeds form+form{margin-left:4px}
.tag{display:inline-block;border-radius:9px;padding:0 8px;font-size:12px;white-space:nowrap;background:#e4e7eb}
.tag.won{background:#d7f2df;color:#0b5a2c}.tag.lost{background:#fbe0df;color:#8c1c13}.tag.open{background:#dcebfb;color:#0b4a8a}
.tag.late{background:#fbe0df;color:#8c1c13}
form.deed{display:inline}
button{font:inherit;font-size:13px;border:1px solid #b8c4ce;border-radius:4px;padding:2px 8px}
button{background:#fff;color:#1f2933;cursor:pointer}
button.main{background:var(--accent);border-color:var(--accent);color:#fff}
button:hover{filter:brightness(.95)}
input,select,textarea{font:inherit;width:100%;padding:5px 7px;border:1px solid #829ab1;border-radius:4px}
input,select,textarea{background:#fff;color:inherit}
form.deed input,form.deed select{width:auto;padding:2px 6px;margin-right:4px}
details form.deed,section>form.deed{display:block;margin:6px 0}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.edit{display:grid;gap:6px;margin:2px 0 4px}.edit p{margin:0;display:flex;gap:12px;align-items:center}
.search{display:flex;gap:8px;max-width:420px;margin:0 0 14px}
.task{border-top:1px solid #edf1f5;padding:8px 0}.task:first-of-type{border-top:0}
.task{overflow-wrap:anywhere}.task .body{margin-top:4px;white-space:pre-line}
.task.done b{text-decoration:line-through;font-weight:400}
.alert{background:#fbe0df;color:#8c1c13;border-radius:4px;padding:8px 12px;margin:0 0 14px}
.pages{display:flex;gap:16px;align-items:center;margin:12px 0}
ul{margin:0;padding-left:18px}
@media (max-width:760px){
 main{padding:12px 12px 32px}.bar{padding:10px 12px}.bar small{margin-left:0}
 .columns{grid-template-columns:minmax(0,1fr)}
 table.stack thead{position:absolute;clip-path:inset(50%)}
 table.stack tr{display:block;border-bottom:1px solid #d9e2ec;padding:8px 0}
 table.stack td{display:flex;justify-content:space-between;gap:12px;border:0;padding:2px 0}
 table.stack td,table.stack td.sum,table.stack td.when{text-align:right;white-space:normal}
 table.stack td::before{content:attr(data-label);color:#52606d;text-align:left;flex:none}
 table.stack td:empty{display:none}
}
"""
