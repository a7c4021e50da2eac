#include "pm/runtime/queue.h"

#include "pm/base/clock.h"
#include "pm/base/error.h"
#include "pm/runtime/world.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* The messages between a rank and the manager, as raw structs: all ranks run one program on one
   kind of machine. A rank sends requests; to ASK, and to nothing else, the manager answers. */
enum tag {
    TAG_REQUEST, /* rank to manager: struct request */
    TAG_ANSWER,  /* manager to rank: struct answer */
    TAG_PAYLOAD, /* manager to rank, after an answer with bytes > 0: that many bytes */
};

enum request_kind {
    ASK,    /* what next? */
    REPORT, /* an item has ended: result */
    STOP,   /* hand out nothing more, to anyone */
    LEAVE,  /* the rank's last message */
};

struct request {
    enum request_kind kind;
    struct pm_work_result result; /* of REPORT */
};

struct answer {
    bool given; /* false: nothing is left */
    size_t index, bytes;
};

/* What is on its way to one rank. It has arrived when that rank's next request comes, since a
   rank waits for its answer: so one box a rank is enough, and the manager never waits. */
struct outbox {
    struct answer answer;
    char *text; /* owned */
    MPI_Request sends[2];
};

/* Rank 0 only; between open and close, the manager thread's alone. */
struct manager {
    pthread_t thread;
    MPI_Comm comm;       /* the queue's */
    const size_t *items; /* borrowed */
    size_t count;
    bool *gone;    /* [count] handed out or passed over; owned */
    size_t *first; /* [groups + 1] a place before which all of a group are gone, and at the end of
                      all items; owned */
    struct pm_queue_callbacks callbacks;
    struct outbox *outboxes; /* [ranks] owned */
    int ranks, left;         /* left: ranks that have sent LEAVE */
    bool stopped;
    double next_tick, last_request; /* pm_clock_seconds */
};

struct pm_queue {
    MPI_Comm comm;
    char *text;              /* of the item in hand, owned */
    struct manager *manager; /* owned; NULL on ranks above 0 */
};

static const double tick_seconds = 0.2;
/* The manager's naps, in nanoseconds: short ones while requests come often, as they do when edits
   are short and a nap is a share of them. */
enum { LONGEST_NAP = 1000000, LONGEST_BUSY_NAP = 100000 };
static const double busy_seconds = 0.1;

static void tick_when_due(struct manager *m)
{
    double now = pm_clock_seconds();
    if (!m->callbacks.tick || now < m->next_tick) return;
    m->callbacks.tick(m->callbacks.self);
    m->next_tick = now + tick_seconds;
}

/* Wait for the next request. @return the rank it is from */
static int receive_request(struct manager *m, struct request *request)
{
    MPI_Request receive;
    MPI_Status status;
    MPI_Irecv(request, sizeof *request, MPI_BYTE, MPI_ANY_SOURCE, TAG_REQUEST, m->comm, &receive);
    long nap = PM_NAP_FIRST;
    for (;;) {
        int arrived;
        MPI_Test(&receive, &arrived, &status);
        tick_when_due(m);
        double now = pm_clock_seconds();
        if (arrived) {
            m->last_request = now;
            return status.MPI_SOURCE;
        }
        nap = pm_clock_nap(nap,
                           now - m->last_request < busy_seconds ? LONGEST_BUSY_NAP : LONGEST_NAP);
    }
}

static void empty_outbox(struct outbox *box)
{
    MPI_Waitall(2, box->sends, MPI_STATUSES_IGNORE);
    free(box->text);
    box->text = NULL;
}

/* @return the place of the first item that is not gone, and of the group, unless that is the number
 * of groups; m->count: there is none */
static size_t first_of(struct manager *m, size_t group)
{
    const struct pm_queue_callbacks *c = &m->callbacks;
    size_t *first = &m->first[group];
    while (*first < m->count &&
           (m->gone[*first] ||
            (group < c->groups && c->item_group(c->self, m->items[*first]) != group)))
        (*first)++;
    return *first;
}

/* Take the next item for a rank. @return false: there is none, or it is to stop */
static bool take_item(size_t *item, struct manager *m, int rank)
{
    const struct pm_queue_callbacks *c = &m->callbacks;
    if (!m->stopped && c->stop) m->stopped = c->stop(c->self);
    size_t group = c->groups ? c->rank_group(c->self, rank) : 0;
    while (!m->stopped) {
        size_t place = first_of(m, group);
        if (place == m->count) place = first_of(m, c->groups);
        if (place == m->count) return false;
        m->gone[place] = true;
        *item = m->items[place];
        if (!c->skips || !c->skips(c->self, *item)) return true;
    }
    return false;
}

static void answer_ask(struct manager *m, int rank)
{
    struct outbox *box = &m->outboxes[rank];
    box->answer = (struct answer){0};
    box->answer.given = take_item(&box->answer.index, m, rank);
    if (box->answer.given) {
        m->callbacks.payload(m->callbacks.self, box->answer.index, &box->text, &box->answer.bytes);
        PM_ASSERT(box->answer.bytes <= INT_MAX && (box->text || box->answer.bytes == 0));
    }
    MPI_Isend(&box->answer, sizeof box->answer, MPI_BYTE, rank, TAG_ANSWER, m->comm,
              &box->sends[0]);
    if (box->answer.bytes > 0)
        MPI_Isend(box->text, (int)box->answer.bytes, MPI_BYTE, rank, TAG_PAYLOAD, m->comm,
                  &box->sends[1]);
}

static void *manage(void *manager)
{
    struct manager *m = manager;
    while (m->left < m->ranks) {
        struct request request;
        int rank = receive_request(m, &request);
        switch (request.kind) {
        case ASK:
            empty_outbox(&m->outboxes[rank]);
            answer_ask(m, rank);
            break;
        case REPORT:
            if (m->callbacks.reported) m->callbacks.reported(m->callbacks.self, &request.result);
            break;
        case STOP:
            m->stopped = true;
            break;
        case LEAVE:
            empty_outbox(&m->outboxes[rank]);
            m->left++;
            break;
        }
    }
    return NULL;
}

static struct manager *start_manager(MPI_Comm comm, const size_t *items, size_t count,
                                     const struct pm_queue_callbacks *callbacks)
{
    PM_ASSERT(callbacks && callbacks->payload && (items || count == 0));
    struct manager *m = malloc(sizeof *m);
    if (!m) pm_die("no memory for the work queue");
    *m = (struct manager){.comm = comm, .items = items, .count = count, .callbacks = *callbacks};
    MPI_Comm_size(comm, &m->ranks);
    m->outboxes = calloc((size_t)m->ranks, sizeof *m->outboxes);
    m->gone = calloc(count + 1, sizeof *m->gone);
    m->first = calloc(callbacks->groups + 1, sizeof *m->first);
    if (!m->gone || !m->first) pm_die("no memory for the work queue's %zu items", count);
    if (!m->outboxes) pm_die("no memory for the work queue's %d ranks", m->ranks);
    for (int rank = 0; rank < m->ranks; rank++)
        m->outboxes[rank].sends[0] = m->outboxes[rank].sends[1] = MPI_REQUEST_NULL;
    m->next_tick = pm_clock_seconds() + tick_seconds;
    int failure = pthread_create(&m->thread, NULL, manage, m);
    if (failure) pm_die("cannot start the work queue's thread: %s", strerror(failure));
    return m;
}

struct pm_queue *pm_queue_open(MPI_Comm comm, const size_t *items, size_t count,
                               const struct pm_queue_callbacks *callbacks)
{
    int rank;
    struct pm_queue *queue = calloc(1, sizeof *queue);
    if (!queue) pm_die("no memory for the work queue");
    MPI_Comm_dup(comm, &queue->comm);
    MPI_Comm_rank(comm, &rank);
    if (rank == 0) queue->manager = start_manager(queue->comm, items, count, callbacks);
    return queue;
}

static void send_request(struct pm_queue *queue, const struct request *request)
{
    MPI_Request send;
    MPI_Isend(request, sizeof *request, MPI_BYTE, 0, TAG_REQUEST, queue->comm, &send);
    pm_world_wait(&send);
}

static void receive(void *buffer, size_t bytes, enum tag tag, MPI_Comm comm)
{
    MPI_Request receive;
    MPI_Irecv(buffer, (int)bytes, MPI_BYTE, 0, tag, comm, &receive);
    pm_world_wait(&receive);
}

bool pm_queue_next(struct pm_queue *queue, struct pm_work *work)
{
    struct answer answer;
    send_request(queue, &(struct request){.kind = ASK});
    receive(&answer, sizeof answer, TAG_ANSWER, queue->comm);
    free(queue->text);
    queue->text = NULL;
    if (!answer.given) return false;

    queue->text = malloc(answer.bytes + 1);
    if (!queue->text) pm_die("no memory for the %zu bytes of an item's text", answer.bytes);
    queue->text[answer.bytes] = '\0';
    if (answer.bytes > 0) receive(queue->text, answer.bytes, TAG_PAYLOAD, queue->comm);
    *work = (struct pm_work){.index = answer.index, .text = queue->text, .bytes = answer.bytes};
    return true;
}

void pm_queue_report(struct pm_queue *queue, const struct pm_work_result *result)
{
    send_request(queue, &(struct request){.kind = REPORT, .result = *result});
}

void pm_queue_stop(struct pm_queue *queue)
{
    send_request(queue, &(struct request){.kind = STOP});
}

void pm_queue_close(struct pm_queue *queue)
{
    send_request(queue, &(struct request){.kind = LEAVE});
    if (queue->manager) {
        pthread_join(queue->manager->thread, NULL);
        free(queue->manager->outboxes);
        free(queue->manager->gone);
        free(queue->manager->first);
        free(queue->manager);
    }
    pm_world_barrier(queue->comm);
    MPI_Comm_free(&queue->comm);
    free(queue->text);
    free(queue);
}
