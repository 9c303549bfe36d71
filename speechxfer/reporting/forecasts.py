"""What one more hour of training speech would bring: learning curves with their forecasts, as charts and sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

from speechxfer.reporting.charts import Chart, Point, Series, line_chart
from speechxfer.reporting.content import Curve
from speechxfer.scoring import Forecast, MeasuredRate, forecast_rate

MORE_HOURS = 1.0


@dataclass(frozen=True)
class ForecastRow:
    """One rate of one curve: the last measurement and what is expected with one more hour; None: too few points."""

    curve: str
    rate_name: str
    sizes: int
    last: MeasuredRate
    forecast: Forecast | None

    @property
    def gain(self) -> float:
        """Fewer errors, as a fraction of the reference's length."""
        return self.last.rate - self.forecast.rate if self.forecast else 0.0


def forecast_rows(curves: Sequence[Curve]) -> list[ForecastRow]:
    """WER and CER of each curve one hour beyond its last point."""
    rows = []
    for curve in curves:
        for name, points in (("WER", curve.wer), ("CER", curve.cer)):
            usable = [point for point in points if point.rate > 0 and point.interval[0] > 0]
            if not usable:
                continue
            last = usable[-1]
            several = len({point.hours for point in usable}) > 1
            forecast = forecast_rate(usable, [last.hours + MORE_HOURS])[0] if several else None
            rows.append(ForecastRow(curve.name, name, len(usable), last, forecast))
    return rows


def forecast_charts(curves: Sequence[Curve]) -> list[Chart]:
    """WER and CER by hours of training speech: what was measured, and one point more with its 90 % interval."""
    charts = []
    for name in ("WER", "CER"):
        series = []
        for number, curve in enumerate(curves):
            points = [point for point in (curve.wer if name == "WER" else curve.cer) if point.interval[0] > 0]
            if not points:
                continue
            measured = tuple(_point(curve.name, name, point, "95 % interval") for point in points)
            series.append(Series(curve.name, measured, style=number))
            if len(points) > 1:
                [forecast] = forecast_rate(points, [points[-1].hours + MORE_HOURS])
                expected = _point(curve.name, f"{name} forecast", forecast, "90 % interval")
                series.append(Series(f"{curve.name}, forecast", (measured[-1], expected), style=number, hollow=True))
        if series:
            charts.append(line_chart(f"{name} by hours of training speech", "hours", "percent", series, log_x=True))
    return charts


def _point(curve: str, name: str, rate: MeasuredRate | Forecast, interval: str) -> Point:
    low, high = (100 * end for end in rate.interval)
    label = f"{curve}, {rate.hours:g} h: {name} {100 * rate.rate:.1f} % [{low:.1f}, {high:.1f}] ({interval})"
    return Point(rate.hours, 100 * rate.rate, low, high, label)
