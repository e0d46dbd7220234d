// Progress in numbers and words: see progress_meter.hpp.
#include "jobs/progress_meter.hpp"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "pg/pure.hpp"

namespace safe_migrate::jobs {

void measure_rates(Rates *rates, int64_t now_us, int64_t rows, int64_t units)
{
	constexpr int64_t shortest_us = 1'000'000;
	constexpr double weight = 0.3;
	const int64_t passed_us = now_us - rates->at_us;
	const bool begins = rates->at_us == 0 || passed_us < 0;
	if (!begins && passed_us < shortest_us)
		return;
	if (!begins) {
		const double seconds = static_cast<double>(passed_us) / 1e6;
		const double share = rates->known ? weight : 1.0;
		const double rows_now = static_cast<double>(rows - rates->rows_at) / seconds;
		const double units_now = static_cast<double>(units - rates->units_at) / seconds;
		rates->rows += share * (rows_now - rates->rows);
		rates->units += share * (units_now - rates->units);
		rates->known = true;
	}
	rates->at_us = now_us;
	rates->rows_at = rows;
	rates->units_at = units;
}

double fraction_of(const Meter &meter)
{
	if (meter.state == JobState::succeeded)
		return 1.0;
	if (meter.units_total <= 0)
		return -1.0;
	double done = static_cast<double>(meter.units_done) / static_cast<double>(meter.units_total);
	return std::clamp(done, 0.0, 1.0);
}

double eta_of(const Meter &meter)
{
	if (meter.state != JobState::running || meter.units_total <= 0 || meter.units_per_second <= 0)
		return -1.0;
	int64_t left = std::max<int64_t>(meter.units_total - meter.units_done, 0);
	constexpr double a_year = 365.0 * 86400;
	double seconds = static_cast<double>(left) / meter.units_per_second;
	return seconds <= a_year ? seconds : -1.0; // as good as standing still
}

bool is_time_for_line(Pace *pace, int64_t now_us, bool news)
{
	constexpr int64_t earlier_us = 1'500'000;
	const bool early = news && pace->lines > 0;
	if (now_us < pace->next_us - (early ? earlier_us : 0))
		return false;
	pace->lines++;
	pace->next_us = now_us + (pace->lines < 5 ? 2'000'000 : 5'000'000);
	return true;
}

size_t write_grouped(char *to, size_t size, int64_t value)
{
	char digits[32];
	int n = std::snprintf(digits, sizeof digits, "%lld", static_cast<long long>(value));
	size_t used = 0;
	for (int i = 0; i < n && used + 2 < size; i++) {
		to[used++] = digits[i];
		int rest = n - 1 - i;
		if (rest > 0 && rest % 3 == 0 && digits[i] != '-')
			to[used++] = ',';
	}
	to[used] = '\0';
	return used;
}

size_t write_duration(char *to, size_t size, double seconds)
{
	const long long s = std::llround(seconds);
	int n;
	if (s < 60)
		n = std::snprintf(to, size, "%lld s", s);
	else if (s < 3600)
		n = std::snprintf(to, size, "%lld min %02lld s", s / 60, s % 60);
	else
		n = std::snprintf(to, size, "%lld h %02lld min", s / 3600, s / 60 % 60);
	return static_cast<size_t>(std::max(n, 0));
}

namespace {

// A line that grows by printf; what does not fit is cut off.
struct Line {
	char *to;
	size_t used;
	bool any;
};

__attribute__((format(gnu_printf, 2, 3))) void add(Line &line, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = std::vsnprintf(line.to + line.used, progress_line_length - line.used, format, args);
	va_end(args);
	line.used = std::min(line.used + static_cast<size_t>(std::max(n, 0)), progress_line_length - 1);
}

void part(Line &line)
{
	add(line, "%s", line.any ? ", " : "");
	line.any = true;
}

} // namespace

void write_progress_line(char (&to)[progress_line_length], const Meter &meter)
{
	Line line{to, 0, false};
	char text[64];
	to[0] = '\0';
	if (meter.step_count > 0 && meter.phase[0] != '\0')
		add(line, "step %d of %d (%s): ", meter.step_no, meter.step_count, meter.phase);
	double fraction = fraction_of(meter);
	if (fraction >= 0) {
		part(line);
		add(line, "%.1f %%", fraction * 100);
		if (meter.pass > 1)
			add(line, " of pass %d", meter.pass);
	}
	part(line);
	write_grouped(text, sizeof text, meter.rows_written);
	add(line, "%s rows", text);
	if (meter.rows_per_second > 0 && meter.condition == Condition::none) {
		write_grouped(text, sizeof text, static_cast<int64_t>(meter.rows_per_second));
		part(line);
		add(line, "%s rows/s", text);
	}
	double eta = eta_of(meter);
	if (eta >= 0 && meter.condition == Condition::none) {
		write_duration(text, sizeof text, eta);
		part(line);
		add(line, "about %s left", text);
	}
	if (meter.replica_lag_us >= 0) {
		part(line);
		add(line, "replica lag %.1f s", static_cast<double>(meter.replica_lag_us) / 1e6);
	}
	if (meter.state != JobState::running)
		add(line, "; %s", name_of(meter.state));
	if (meter.condition != Condition::none) {
		add(line, "; %s", name_of(meter.condition));
		if (meter.detail[0] != '\0')
			add(line, ": %s", meter.detail);
	}
}

} // namespace safe_migrate::jobs
