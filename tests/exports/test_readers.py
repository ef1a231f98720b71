"""What people read Parquet with agrees on the schema and the rows of an export."""

import json
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from msgspec.structs import replace

from app.db import Pool
from app.exports.plan.model import ExportColumn, Grain, PartitionColumn, Plan
from app.exports.plan.process import run_task
from app.limits import MIB
from app.schemas.ddl.types import Kind, ListOf, Scalar, StructOf, Field
from app.settings import Settings
from tests.exports.running_exports import RunningExports, open_exports
