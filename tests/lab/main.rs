//! Real daemons on hosts that are network namespaces, seen from outside: addresses, packets, pings, log.
//!
//! `DAEMON=/usr/sbin/keepalived cargo test --test lab` runs the same tests on the original, which proves the
//! tests. Needs root, or user namespaces; iproute2, util-linux, tcpdump and nftables; keepalived and frr for
//! the tests of working together with them.

#[path = "../common/mod.rs"]
mod common;

mod auth;
mod bad_input;
mod bfd;
mod boot;
mod buffers;
mod clients;
mod company;
mod containers;
mod dbus;
mod deaf;
mod edits;
mod fifo;
mod firewall;
mod generators;
mod golden;
mod guard;
mod hearing;
mod impaired;
mod installed;
mod interop;
mod kernel;
mod keywords;
mod links;
mod mail;
mod metrics;
mod monitoring;
mod never_late;
mod outsiders;
mod pair;
mod parsers;
mod process;
mod processes;
mod reading;
mod reload;
mod routes;
mod scenarios;
mod scheduling;
mod scripts;
mod servers;
mod settings;
mod snmp;
mod status;
mod timing;
mod told;
mod tracking;
mod virtual_macs;

use common::runner::{Test, run};
use std::process::ExitCode;

/// One entry a test; those under `alone` measure times and run with nothing beside them.
macro_rules! tests {
    (together: [$($test:path,)*], alone: [$($measure:path,)*]) => {
        &[
            $(Test { name: stringify!($test), run: $test, alone: false },)*
            $(Test { name: stringify!($measure), run: $measure, alone: true },)*
        ]
    };
}

fn main() -> ExitCode {
    run(tests!(
        together: [
            scenarios::two_nodes_fail_over,
            scenarios::strict_hot_standby_drops_packets_to_the_address,
            scenarios::hot_standby_without_strict_loses_two_pings_at_most,
            scenarios::squid_on_two_active_hosts,
            boot::nopreempt_with_a_late_link,
            boot::a_flapping_link_leaves_nobody_in_fault,
            boot::lost_news_are_read_again,
            deaf::no_second_master_behind_a_deaf_link,
            deaf::a_deaf_link_is_waited_for_so_long,
            timing::announcements,
            timing::paces,
            timing::beaten_masters_wait_as_long_as_they_are_told,
            timing::a_master_that_was_stopped_gives_way_when_told_so,
            timing::another_address_owner,
            timing::startup_delays,
            keywords::adverts_are_keepalived_s,
            keywords::adverts_of_later_versions,
            keywords::the_version_is_the_one_for_all_unless_an_instance_says_another,
            keywords::secondaries_are_promoted_when_told_so,
            keywords::the_own_link_does_not_count_when_told_so,
            keywords::a_source_or_all_peers_are_missing,
            keywords::adverts_of_strangers_are_not_obeyed_when_told_so,
            keywords::scripts_of_every_occasion,
            buffers::of_adverts,
            buffers::of_netlink,
            buffers::of_process_events,
            keywords::unknown_virtual_routers_are_logged_when_told_so,
            hearing::addresses_of_every_advert_are_compared_unless_told_otherwise,
            hearing::an_address_owner_ignores_adverts_when_told_so,
            hearing::a_peer_s_adverts_come_from_as_far_as_told,
            hearing::a_better_one_waits_as_long_as_told,
            interop::version_2_with_password,
            interop::version_2_with_ah,
            interop::unicast_with_ah,
            interop::version_3_ipv4,
            interop::version_3_ipv6,
            interop::unicast,
            interop::vmac,
            interop::vmac_ipv6,
            interop::frr_version_3_ipv4,
            interop::frr_version_3_ipv6,
            auth::hmac_wrong_key_replay_and_rotation,
            auth::hmac_old_adverts_are_refused_or_not,
            auth::secrets_are_shown_nowhere_and_do_not_stay,
            auth::secrets_are_in_no_answer,
            auth::hmac_permissive_obeys_who_does_not_sign,
            bfd::neighbour_lost_moves_the_master,
            bfd::weights_count,
            bfd::a_reload_keeps_the_session,
            bfd::packets_from_too_far_are_refused,
            bfd::it_sends_as_often_as_told_while_nobody_answers,
            bfd::a_session_is_for_whom_it_says,
            bfd::what_cannot_be_opened_is_tried_again,
            bfd::with_keepalived,
            bfd::with_frr,
            mail::the_mails_recorded_of_keepalived,
            mail::servers_go_down,
            mail::of_what_there_is_mail_by_default,
            mail::a_check_that_changes_nothing_is_no_mail_when_told_so,
            mail::a_server_that_stalls_and_one_that_is_dead,
            mail::a_server_that_stalls_in_each_phase,
            fifo::the_lines_are_those_of_keepalived,
            fifo::a_script_reads_to_the_end,
            fifo::a_script_reads_of_servers,
            fifo::nobody_reads,
            fifo::servers_go_down,
            dbus::the_same_as_keepalived,
            dbus::a_bus_that_was_killed_is_found_again,
            dbus::other_users_may_read_only,
            firewall::iptables_keywords_are_done_by_nftables,
            firewall::dropped_on_virtual_macs,
            firewall::interfaces_by_their_numbers,
            process::refuses_to_start_beside_a_running_one,
            process::background_mode_writes_pid_files_first,
            process::killed_and_restarted_leaves_no_address_twice,
            process::dumps_on_signals,
            process::failed_notify_scripts_are_told,
            process::what_a_file_has_no_effect_for_is_logged,
            kernel::deleted_address_is_put_back,
            kernel::what_is_not_tracked_stays_away,
            kernel::interface_down_and_up,
            kernel::interface_deleted_and_made_again,
            kernel::missing_interfaces_are_waited_for_when_told_so,
            kernel::sync_group_moves_together,
            routes::the_same_as_keepalived,
            routes::family_and_type_may_be_said,
            routes::what_is_removed_returns_and_the_remover_is_named,
            routes::what_is_removed_is_given_up_if_asked_for,
            routes::interfaces_of_what_is_used_are_tracked,
            guard::killed_master_costs_the_skew_time,
            guard::it_is_made_again_and_hears_of_reloads,
            guard::the_next_daemon_waits_for_it,
            guard::what_is_to_stay_stays,
            impaired::partition_and_heal,
            impaired::lost_adverts,
            company::one_direction_is_lost,
            company::another_password,
            company::nobody_ever_heard,
            containers::with_exactly_what_is_documented,
            containers::each_missing_capability_is_named,
            containers::process_1_stays_in_the_foreground,
            containers::the_end_of_helpers_is_told,
            clients::the_exporter_that_finds_the_daemon_by_name_and_clears_up,
            clients::the_shell_that_waits_for_the_file_to_be_closed,
            clients::the_shell_that_does_not_wait,
            clients::the_exporter_that_reads_text,
            clients::those_that_read_json,
            generators::the_test_of_files_says_what_keepalived_s_does,
            generators::what_they_write_is_what_is_tested,
            generators::ansible_validates,
            generators::neutron_starts_and_stops,
            generators::octavia_and_kolla_start,
            parsers::copies_of_an_independent_parser_mean_the_same,
            parsers::what_a_library_writes_is_read_as_keepalived_reads_it,
            monitoring::the_snmp_exporter_of_prometheus,
            monitoring::the_checks_that_walk_a_few_columns,
            outsiders::ucarp_with_our_number_changes_nothing,
            outsiders::scapy_makes_and_takes_apart,
            outsiders::failover_vr_takes_over_and_gives_way,
            installed::dbus_fast_asks_and_listens,
            installed::pysnmp_walks,
            installed::ansible_replaces_what_is_right,
            installed::conntrackd_changes_sides,
            installed::pyroute2_tells_what_is_keepalived_s,
            installed::tshark_finds_nothing_wrong,
            told::conflicts,
            told::unicast_peers_that_answer_nothing,
            told::what_came_of_scripts,
            metrics::virtual_servers_in_the_json,
            status::status_says_who_is_master_and_why,
            status::status_shows_every_state,
            status::others_are_sent_to_root,
            status::watch_follows_until_the_end,
            status::status_is_held_up_by_nobody,
            metrics::metrics_are_answered_and_hold_up_nothing,
            golden::version_2_with_password,
            golden::configuration_in_the_log,
            golden::version_2_backup,
            golden::version_3_owner,
            golden::version_3_ipv6,
            golden::unicast,
            golden::routes_rules_and_static_objects,
            golden::labels_and_excluded_addresses,
            golden::ah,
            golden::hmac,
            golden::bfd,
            golden::link_down,
            golden::thirty_addresses,
            golden::bad_packets,
            golden::all_global_definitions,
            golden::paces_and_delays,
            golden::strict_mode,
            golden::all_keywords_of_an_instance,
            virtual_macs::clients_see_one_mac,
            virtual_macs::silent_until_master,
            virtual_macs::names_begin_as_the_file_says,
            virtual_macs::deleted_interface_returns,
            virtual_macs::interface_below_deleted_and_made_again,
            virtual_macs::killed_daemon_leaves_nothing_for_long,
            virtual_macs::reload_adds_changes_and_removes,
            virtual_macs::strict_reverse_path_filter,
            virtual_macs::many_are_gone_at_the_stop,
            virtual_macs::interface_below_down_and_up,
            virtual_macs::announced_where_no_adverts_leave,
            golden::virtual_macs,
            golden::changes_at_a_reload,
            reload::to_a_bad_file_is_refused,
            reload::changes_are_applied_in_place,
            reload::instances_and_addresses_move_without_a_flap,
            tracking::a_file_is_part_of_the_priority,
            tracking::a_file_is_found_again_where_its_directory_was,
            tracking::an_initial_value_is_written,
            tracking::a_group_tracks_for_its_members,
            tracking::trackers_of_a_group_have_weights,
            processes::are_counted,
            processes::are_counted_without_events,
            processes::are_known_by_their_arguments,
            processes::may_be_restarted,
            links::a_short_interruption_of_a_link_is_not_believed,
            links::a_link_is_asked_for_its_carrier,
            links::all_links_are_asked_when_told_so,
            links::links_have_weights,
            scheduling::the_vrrp_thread_is_scheduled_as_the_file_says,
            scheduling::bfd_is_scheduled_as_the_file_says,
            scheduling::of_vrrp_and_bfd_the_more_eager_counts,
            scheduling::lateness_raises_the_priority,
            servers::every_failure_is_logged_when_told_so,
            servers::the_first_state_of_servers_is_told_when_asked_for,
            settings::files_have_the_mode_that_umask_leaves,
            settings::scripts_run_as_their_user_and_at_their_time,
            settings::instances_and_namespaces_have_names_of_their_own,
            settings::a_reload_at_a_given_time,
            settings::reloads_are_recorded,
            settings::a_stop_waits_as_long_as_told,
            settings::pid_files_have_a_folder_when_told_so,
            settings::a_directory_for_temporary_files_cannot_change,
            scheduling::the_load_balancer_is_scheduled_as_the_file_says,
            settings::dumps_have_names_of_their_own,
            settings::random_numbers_come_from_the_seed,
            settings::a_reload_is_checked_when_told_so,
            scripts::results_count_when_there_are_as_many_as_told,
            scripts::a_script_fails_at_first_when_told_so,
            scripts::scripts_have_weights,
            scripts::scripts_of_everybody_are_not_run_when_told_so,
            scripts::notify_scripts_run_as_whom_told,
            scripts::a_script_runs_as_often_as_long_and_as_whom_told,
            reading::a_file_is_there_while_the_configuration_is_read,
            reading::includes_that_find_nothing_are_mistakes_when_told_so,
            reading::links_of_scripts_stay_when_told_so,
            reading::names_of_tables_are_looked_for_where_told,
            snmp::walks_are_as_keepalived_s,
            snmp::only_what_is_enabled_is_answered,
            snmp::notifications_are_heard,
        ],
        alone: [
            bad_input::a_few_bad_packets,
            bad_input::very_many_bad_packets,
            bfd::hostile_packets_do_not_disturb,
            edits::random_edits_are_not_noticed,
            never_late::a_dead_journal,
            never_late::a_full_disk,
            never_late::two_hundred_scripts_at_once,
            never_late::two_hundred_notify_scripts_at_once,
            never_late::ten_thousand_addresses,
            never_late::a_huge_file,
            never_late::a_silent_name_server,
            never_late::stopped_and_continued,
            snmp::snmpd_comes_goes_and_hangs,
            bad_input::dead_log_sink_costs_no_advert,
            reload::of_250_masters_is_not_noticed,
        ]
    ))
}
