"""A page that shows hostile text on each of Streamlit's Markdown surfaces, for `test_text.py`."""

import pandas as pd
import streamlit as st

from core.escaping import code, markdown
from pages.parts import elements

HOSTILE = (
    "=X <script>alert(1)</script> $y$ **b** [l](https://l.example) https://a.example www.b.example c@d.example "
    ":fire: :material/bomb: :red[r] `q www.e.example` :material_bomb: ~~s~~ # h"
)

st.markdown(markdown(HOSTILE))
st.caption(code(HOSTILE))
st.error(f"**{markdown(HOSTILE)}**")
st.button(markdown(HOSTILE))
st.metric("Metric", markdown(HOSTILE))
elements.dataframe(pd.DataFrame({"name": [HOSTILE]}))
st.markdown("All is shown")
