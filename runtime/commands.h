// The subcommands of the program; each lives in its own command_NAME.cpp and adds itself to the
// command line. They throw CLI::RuntimeError with their exit code when messages have been printed,
// or an exception that main() turns into a message and an exit code.
#pragma once

namespace CLI {
class App;
}

namespace corvid::runtime {

void add_interactive_session(CLI::App& app);  // no subcommand at all
void add_run_command(CLI::App& app);
void add_resume_command(CLI::App& app);
void add_sessions_command(CLI::App& app);
void add_show_command(CLI::App& app);
void add_settings_command(CLI::App& app);
void add_sandbox_command(CLI::App& app);
void add_plugins_command(CLI::App& app);
void add_doctor_command(CLI::App& app);
void add_devices_command(CLI::App& app);
void add_logits_command(CLI::App& app);
void add_render_command(CLI::App& app);
void add_tokenize_command(CLI::App& app);
void add_bench_command(CLI::App& app);
void add_serve_command(CLI::App& app);

}  // namespace corvid::runtime
